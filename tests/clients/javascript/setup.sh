# Sourced by the suites in JavaScript, from the root of the tree.

NODE_VERSION=22.23.3

# set_up_node: a Node that is new enough, on the PATH.
set_up_node() {
    local node_home
    need node=nodejs npm=npm
    (($(node -p 'process.versions.node.split(".")[0]') < ${NODE_VERSION%%.*})) || return 0
    # Debian 12 has Node 18; npm has newer ones.
    node_home=$(realpath -m "${CARGO_TARGET_DIR:-target}/clients")/node-$NODE_VERSION
    [[ -x $node_home/node_modules/.bin/node ]] ||
        npm install --loglevel=error --prefix "$node_home" "node@$NODE_VERSION"
    PATH=$node_home/node_modules/.bin:$PATH
}

# set_up SUITE: Node, what the suite's package-lock.json names, its own and the shared modules, and what is generated
# from the .proto files, all under target/, in the folder that `home` then names.
set_up() {
    local suite=$1 clients messages
    clients=$(realpath -m "${CARGO_TARGET_DIR:-target}/clients")
    home=$clients/$(basename "$suite")
    need python3=python3
    set_up_node

    # Modules are looked for beside the file that imports them, and shall not lie in the source tree.
    mkdir -p "$home"
    cp tests/clients/javascript/*.mjs "$suite"/*.mjs "$suite/package.json" "$home"
    if ! cmp -s "$suite/package-lock.json" "$home/package-lock.json"; then
        echo "Installing the clients into $home"
        cp "$suite/package-lock.json" "$home"
        npm ci --loglevel=error --ignore-scripts --prefix "$home" || { rm "$home/package-lock.json"; return 1; }
    fi
    PATH=$home/node_modules/.bin:$PATH
    for messages in proto tests/clients/javascript; do
        buf generate --template tests/clients/javascript/buf.gen.yaml --output "$home" "$messages"
    done
}
