#!/bin/sh
# Puts what was built where it is used, or takes it away again.
#
#   runtime/install.sh install PREFIX     (also: uninstall PREFIX)
#
# With DESTDIR in the environment everything goes below that directory, as
# makers of packages want it; what is installed still speaks of PREFIX.
#
#   bin/dora-run               lib/libdora.a          include/dora.h
#   libexec/dora-run/          lib/libdora-python.a   lib/pkgconfig/dora.pc
#       dora-guardian          the runtime's helpers; for each Python one program
#       TAG/dora-python        that is it with the dora module and, where that
#       TAG/dora-inhost.so     can be, what runs it inside dora-run; `pythons`
#       pythons                says which is whose; the module for the other
#       dora-stable            Pythons
#       dora-stable.so, dora-preload.so
#       children/dora.abi3.so  that module, for programs which a node starts

set -eu

action=$1
prefix=$2
root=${DESTDIR:-}$prefix
libexec=$prefix/libexec/dora-run
build=$(cd "$(dirname "$0")/../build" && pwd)
tab=$(printf '\t')

put() { # MODE FILE PLACE
    mkdir -p "$root/$(dirname "$3")"
    install -m "$1" "$2" "$root/$3"
}

write_pc() {
    cat <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include
libexecdir=$libexec

Name: dora
Description: Run a dataflow of nodes inside a C program
Version: $(sed -n 's/^#define DORA_VERSION "\(.*\)"/\1/p' \
    "$build/../runtime/dora.h")
Cflags: -I\${includedir}
Libs: -L\${libdir} -ldora-python -ldora -lyaml -pthread
PC
}

write_pythons() {
    while IFS=$tab read -r tag version executable program; do
        [ -x "$program" ] || continue
        printf '%s\t%s\t%s\t%s\n' "$tag" "$version" "$executable" \
            "$libexec/$tag/dora-python"
    done <"$build/pythons"
}

install_all() {
    put 755 "$build/dora-run" bin/dora-run
    put 755 "$build/dora-guardian" libexec/dora-run/dora-guardian
    while IFS=$tab read -r tag version executable program; do
        [ -x "$program" ] || continue
        put 755 "$program" "libexec/dora-run/$tag/dora-python"
        inhost=${program%/*}/dora-inhost.so
        [ ! -f "$inhost" ] || put 644 "$inhost" \
            "libexec/dora-run/$tag/dora-inhost.so"
    done <"$build/pythons"
    if [ -f "$build/dora-stable" ]; then
        put 755 "$build/dora-stable" libexec/dora-run/dora-stable
        put 644 "$build/dora-stable.so" libexec/dora-run/dora-stable.so
        put 644 "$build/dora-preload.so" libexec/dora-run/dora-preload.so
        put 644 "$build/children/dora.abi3.so" \
            libexec/dora-run/children/dora.abi3.so
    fi
    write_pythons >"$root/libexec/dora-run/pythons"
    put 644 "$build/libdora.a" lib/libdora.a
    put 644 "$build/libdora-python.a" lib/libdora-python.a
    put 644 "$build/../runtime/dora.h" include/dora.h
    mkdir -p "$root/lib/pkgconfig"
    write_pc >"$root/lib/pkgconfig/dora.pc"
    echo "installed in $root"
}

uninstall_all() {
    if [ -f "$root/libexec/dora-run/pythons" ]; then
        while IFS=$tab read -r tag version executable program; do
            rm -f "$root/libexec/dora-run/$tag/dora-python" \
                "$root/libexec/dora-run/$tag/dora-inhost.so"
            rmdir "$root/libexec/dora-run/$tag" 2>/dev/null || true
        done <"$root/libexec/dora-run/pythons"
    fi
    rm -f "$root/bin/dora-run" "$root/libexec/dora-run/dora-guardian" \
        "$root/libexec/dora-run/dora-stable" \
        "$root/libexec/dora-run/dora-stable.so" \
        "$root/libexec/dora-run/dora-preload.so" \
        "$root/libexec/dora-run/children/dora.abi3.so" \
        "$root/libexec/dora-run/pythons" "$root/lib/libdora.a" \
        "$root/lib/libdora-python.a" "$root/include/dora.h" \
        "$root/lib/pkgconfig/dora.pc"
    rmdir "$root/libexec/dora-run/children" "$root/libexec/dora-run" \
        2>/dev/null || true
    echo "removed from $root"
}

case $action in
install) install_all ;;
uninstall) uninstall_all ;;
*)
    echo "usage: $0 install|uninstall PREFIX" >&2
    exit 2
    ;;
esac
