"""Pure decisions on annotation tables; no model, no image."""
