"""Storms: everything that may die does, while runs with orders go through; what stands afterwards is counted."""
