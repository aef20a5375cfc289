"""Serves an exported file: POST a picture, get classes and probabilities as JSON. Needs onnxruntime and Pillow alone.

    rolewise export RUN --input uint8_bhwc --output probabilities --out student.onnx
    python serve.py student.onnx 8000 &
    curl --data-binary @picture.jpg http://127.0.0.1:8000

All that it knows of the network stands in the file's metadata.
"""

import io
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
if (facts.get("input"), facts.get("output")) != ("uint8_bhwc", "probabilities"):
    sys.exit(f"{sys.argv[1]} must be exported with: --input uint8_bhwc --output probabilities")
classes, (height, width) = json.loads(facts["classes"]), json.loads(facts["picture_size"])
background, mode = json.loads(facts["picture_background"]), "L" if facts["picture_grayscale"] == "true" else "RGB"
ground = (background,) * 3 if isinstance(background, int) else tuple(background)


def pixels(content: bytes) -> np.ndarray:
    """Reads a picture as the training images were read: upright, on its background, in the network's size."""
    picture: Image.Image = Image.open(io.BytesIO(content))
    if facts["picture_orientation"] == '"exif"':
        picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (*ground, 255)), picture.convert("RGBA"))
    picture = picture.convert("RGB").convert(mode)
    if facts["picture_resize"] == '"crop"':
        picture = ImageOps.fit(picture, (width, height))
    elif facts["picture_resize"] == '"pad"':
        inner, picture = ImageOps.contain(picture, (width, height)), Image.new("RGB", (width, height), ground)
        picture.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
        picture = picture.convert(mode)
    return np.asarray(picture.resize((width, height))).reshape(1, height, width, -1)


class Handler(BaseHTTPRequestHandler):
    """Answers a POST of a picture's bytes."""

    def do_POST(self) -> None:
        """Predicts for the picture in the request's body."""
        try:
            content = self.rfile.read(min(int(self.headers["Content-Length"]), 32_000_000))
            scores = session.run(None, {"images": pixels(content)})[0][0]
        except Exception as error:
            self.reply(400, {"error": f"not a picture that can be read: {error}"})
            return
        order = np.argsort(-scores)
        self.reply(200, {"predictions": [{"class": classes[at], "probability": float(scores[at])} for at in order]})

    def reply(self, code: int, value: dict[str, object]) -> None:
        """Sends a value as JSON."""
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
