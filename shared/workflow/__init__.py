"""What a strategy imports: the workflow and its steps, the context they get, decisions, orders and errors."""

from shared.workflow.context import Context
from shared.workflow.errors import PermanentError, TemporaryError
from shared.workflow.orders import Decision, Order, Side
from shared.workflow.workflow import Workflow

__all__ = ["Context", "Decision", "Order", "PermanentError", "Side", "TemporaryError", "Workflow"]
