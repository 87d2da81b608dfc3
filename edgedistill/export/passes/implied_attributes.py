"""Drops attributes that say what the operator's definition says anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import defs, helper

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto, NodeProto


def drop_implied_attributes(model: ModelProto) -> bool:
    """Remove every attribute whose value is its default; `dilations` of 1 is the default of Conv."""
    opset = next(item.version for item in model.opset_import if item.domain == "")
    modified = False
    for node in model.graph.node:
        kept = [attribute for attribute in node.attribute if not _is_default(node, attribute, opset)]
        if len(kept) < len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)
            modified = True
    return modified


def _is_default(node: NodeProto, attribute: AttributeProto, opset: int) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    value = helper.get_attribute_value(attribute)
    if attribute.name == "dilations":  # no default in the definition, but its text says 1 along each axis
        return all(step == 1 for step in value)
    definition = defs.get_schema(node.op_type, opset).attributes.get(attribute.name)
    if definition is None or definition.required or not definition.default_value.name:
        return False
    return bool(helper.get_attribute_value(definition.default_value) == value)
