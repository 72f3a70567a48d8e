"""How the operator's commands log: on stderr, for people on a terminal, as JSON elsewhere."""

import logging
import sys

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_up_logging(level: str, form: str) -> None:
    """Send our own lines, and the libraries' warnings, to stderr."""
    number = LEVELS[level]
    for_people = form == "console" or (form == "auto" and sys.stderr.isatty())
    steps: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if for_people else "iso", utc=not for_people),
    ]
    if not for_people:
        steps.append(structlog.processors.format_exc_info)
    last = _console() if for_people else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*steps, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # a logger that was used before this was called would stay as it was
    )
    handler = logging.StreamHandler(sys.stderr)
    foreign = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=steps, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
    )
    handler.setFormatter(foreign)
    # What libraries have to say below a warning is about themselves.
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def _console() -> structlog.dev.ConsoleRenderer:
    # Plain tracebacks: the others show the values of variables, and so secrets.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
