"""Serves an exported file: POST a picture, get classes and probabilities as JSON.

rolewise export RUN --out student.onnx
python serve.py student.onnx 8000 &
curl --data-binary @picture.jpg http://127.0.0.1:8000
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rolewise.deploy import content_prediction, prediction_as_json, predictor_of_file

# All that is known of the network stands in the file: classes, normalisation, and how a picture becomes its input.
predictor = predictor_of_file(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    """Answers a POST of a picture's bytes."""

    def do_POST(self) -> None:
        """Predicts for the picture in the request's body."""
        length = self.headers["Content-Length"] or ""
        if not length.isdecimal() or int(length) > 32_000_000:
            return self.send_error(411, "Send a picture's bytes as they are, with their Content-Length, up to 32 MB")
        content = self.rfile.read(int(length))
        found = content_prediction(predictor, content)
        body = json.dumps(prediction_as_json(predictor, found, top=5)).encode() + b"\n"
        self.send_response(400 if found.fault else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
