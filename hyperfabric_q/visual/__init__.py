"""Pictures of plans and results, in text and in HTML; they read values and change nothing."""

from hyperfabric_q.visual.html import plan_html, result_html
from hyperfabric_q.visual.text import draw_plan

__all__ = ["draw_plan", "plan_html", "result_html"]
