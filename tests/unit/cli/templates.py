"""The stub of a daemon's service of templates."""

from __future__ import annotations

from typing import Any

from jaild.v1 import templates_pb2, templates_pb2_grpc


class Templates(templates_pb2_grpc.TemplatesServicer):  # type: ignore[misc]
    """It has one."""

    def ListTemplates(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer."""
        return templates_pb2.ListTemplatesResponse(templates=[self.GetTemplate(request, context)])

    def GetTemplate(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        """Answer."""
        return templates_pb2.JailTemplate(
            name="templates/redis", description="A Redis.", variables=["base", "quota"], yaml="# A Redis.\nbase: x\n"
        )
