# Shared by tui/run and tests/run: finds what the build needs and, on Debian
# and Ubuntu, installs what is missing.  Sourced, POSIX shell.
#   need COMMAND PACKAGE      a program on the PATH
#   library PC-NAME PACKAGE   a library pkg-config knows
#   install_missing           installs the packages collected, or explains

missing=

need() {
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

library() {
    command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$1" ||
        missing="$missing $2"
}

need_for_build() {
    need cc build-essential
    need meson meson
    need ninja ninja-build
    need pkg-config pkg-config
    library ncursesw libncurses-dev
    library openblas libopenblas-dev
    library libpng libpng-dev
    library libjpeg libjpeg-dev
    library zlib zlib1g-dev
    library libcjson libcjson-dev
    library libxxhash libxxhash-dev
}

install_missing() {
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        {
            echo "This system has no apt-get. Please install the equivalents"
            echo "of these Debian packages, then run this again:"
            echo " $missing"
        } >&2
        exit 1
    fi
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        echo "Installing with sudo:$missing" >&2
        as_root=sudo
    else
        echo "Please install as root, then run this again:$missing" >&2
        exit 1
    fi
    echo "Installing:$missing" >&2
    {
        $as_root apt-get update -q &&
            # shellcheck disable=SC2086
            $as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -q -y --no-install-recommends $missing
    } >&2 || {
        echo "The packages could not be installed:$missing" >&2
        exit 1
    }
}

# build DIR [MESON OPTIONS]: configures once, then builds what changed.  Talks
# only when there is something to do.
build() {
    dir=$1
    shift
    if [ ! -f "$dir/build.ninja" ]; then
        echo "Configuring $dir" >&2
        meson setup "$dir" "$@" >"${TMPDIR:-/tmp}/bitdial-setup.$$" 2>&1 || {
            cat "${TMPDIR:-/tmp}/bitdial-setup.$$" >&2
            rm -f "${TMPDIR:-/tmp}/bitdial-setup.$$"
            exit 1
        }
        rm -f "${TMPDIR:-/tmp}/bitdial-setup.$$"
    fi
    # shellcheck disable=SC2086
    ninja -C "$dir" $targets >"$dir/build.log" 2>&1 || {
        grep -v '^\[' "$dir/build.log" >&2
        exit 1
    }
}
