"""A gRPC service that returns the method and headers of each call, and a client for it.

    grpc_echo.py serve                        starts the service and prints its port
    grpc_echo.py call HOST:PORT METHOD JSON   calls a method with the headers in a JSON list of pairs, and
                                              prints the status and the response as JSON
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        heard = {"method": details.method, "headers": list(details.invocation_metadata)}
        return grpc.unary_unary_rpc_method_handler(lambda *_: json.dumps(heard).encode())


def serve():
    server = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening on {port}", flush=True)
    server.wait_for_termination()


def call(address, method, headers):
    with grpc.insecure_channel(address) as channel:
        try:
            answer = channel.unary_unary(method)(b"", metadata=headers, timeout=20)
            print(json.dumps({"status": "OK", "answer": json.loads(answer)}))
        except grpc.RpcError as error:
            print(json.dumps({"status": error.code().name}))


if sys.argv[1] == "serve":
    serve()
else:
    call(sys.argv[2], sys.argv[3], [tuple(pair) for pair in json.loads(sys.argv[4])])
