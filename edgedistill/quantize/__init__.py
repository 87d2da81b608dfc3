"""From an fp32 student to a quantized program: capture, fold, annotate, fake-quantize, fine-tune, convert."""
