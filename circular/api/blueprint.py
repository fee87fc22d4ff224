"""flask-smorest's blueprint, as the API's files use it."""

from __future__ import annotations

from typing import Any

import flask_smorest


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """One that copies what its views say of themselves when somebody wants to read it, not at each start (10 ms).

    Of one application, not inside another blueprint.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        self._unread: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        super().__init__(*given, **options)

    def _store_endpoint_docs(self, *given: Any, **options: Any) -> None:
        self._unread.append((given, options))

    def register_views_in_doc(self, *given: Any, **options: Any) -> None:
        while self._unread:
            endpoint, more = self._unread.pop(0)
            super()._store_endpoint_docs(*endpoint, **more)
        super().register_views_in_doc(*given, **options)
