# Sourced by the suites, from the root of the tree: all of them have their backend's events pushed by grpcio.

# set_up_python: what python/requirements.txt names and what is generated from the .proto files, all under target/, with
# the interpreter that `python` then names.
set_up_python() {
    local requirements=tests/clients/python/requirements.txt home=${CARGO_TARGET_DIR:-target}/clients/python
    need python3=python3
    # Debian's python3 comes without it.
    need "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')/ensurepip/__init__.py=python3-venv"
    if ! cmp -s "$requirements" "$home/installed.txt"; then
        echo "Installing Python's clients into $home"
        python3 -m venv --clear "$home"
        "$home/bin/pip" install --quiet --no-deps --only-binary :all: -r "$requirements"
        cp "$requirements" "$home/installed.txt"
    fi
    python=$home/bin/python
    mkdir -p "$home/gen"
    "$python" -m grpc_tools.protoc --proto_path=proto --plugin="$home/bin/protoc-gen-connectrpc" \
        --python_out="$home/gen" --grpc_python_out="$home/gen" --connectrpc_out=protobuf=google,io=sync:"$home/gen" \
        edge/v1/gateway.proto push/v1/push.proto
    export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/clients:tests/clients/python:$home/gen
}
