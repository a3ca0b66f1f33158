# Sourced by the scripts of ops/ and .ci/: finds Rust, and brings the Debian packages that are missing.

# What the build compiles with beside Rust: C code of the crates ring, zstd-sys and mimalloc with the C
# compiler, and of libz-ng-sys with cmake and make. Each is a command or a file, and the package that has it.
BUILD_NEEDS=(cc=gcc /usr/include/stdio.h=libc6-dev make=make cmake=cmake)

# What the tests of shared stores run.
TEST_NEEDS=(redis-server=redis-server redis-cli=redis-tools)

# need THING=PACKAGE...: installs the packages of the things that are not there. Does nothing, and calls
# no apt, where all of them are.
need() {
    local entry thing missing=() packages=()
    for entry in "$@"; do
        thing=${entry%%=*}
        case $thing in
            /*) [[ -e $thing ]] && continue ;;
            *) command -v "$thing" >/dev/null && continue ;;
        esac
        missing+=("$thing")
        packages+=("${entry#*=}")
    done
    ((${#missing[@]})) || return 0

    local as_root=()
    if ((EUID != 0)); then
        as_root=(sudo)
    fi
    if ! command -v apt-get >/dev/null || { ((EUID != 0)) && ! command -v sudo >/dev/null; }; then
        echo "Missing: ${missing[*]}." >&2
        echo "Install them and run this again. Debian's packages are: ${packages[*]}." >&2
        exit 1
    fi
    echo "Installing with apt-get: ${packages[*]} (for ${missing[*]})" >&2
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
}

# need_rust: cargo on the PATH, also in a shell that was opened before rustup was installed.
need_rust() {
    command -v cargo >/dev/null && return 0
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    command -v cargo >/dev/null && return 0
    echo "Missing: cargo. Portcullis is built with Rust 1.88 or newer: https://rustup.rs" >&2
    exit 1
}

# need_go GO_MOD SUITE SKIP: a Go that is new enough for the suite of this go.mod, or the end, with the variable that
# leaves the suite out.
need_go() {
    local least here
    least=$(sed -n 's/^go //p' "$1")
    (need go=golang-go) || no_go "$least" "there is none" "${@:2}"
    here=$(go env GOVERSION)
    printf 'go%s\n' "$least" "${here#go}" | sort --check=quiet --version-sort || no_go "$least" "here is $here" "${@:2}"
}

no_go() {
    echo "$3 needs Go $1 or newer: $2. $4=1 leaves it out." >&2
    exit 1
}

# go_under TARGET: has Go keep all that it fetches and builds in there, and so that it can be removed: it keeps sources
# without the right to write.
go_under() {
    export GOPATH=$1/tools/go GOCACHE=$1/tools/go/build GOFLAGS=-modcacherw
}
