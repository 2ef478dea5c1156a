#!/bin/sh
# Executes a command under a kernel whose control groups are of version 2:
#
#     tests/cgroup2/run.sh LINUX COMMAND...
#
# LINUX is user-mode Linux, a kernel that is a program. Its root is this
# machine's, which it only reads; /dev/shm is its own, and so is what a group
# may have. This file is also what it executes first.

set -eu

if [ $$ != 1 ]; then
    linux=$1
    shift
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    "$linux" mem=2G rootfstype=hostfs rootflags=/ ro loglevel=0 con=null \
        con0=null,fd:1 uml_dir="$place" init="$(realpath "$0")" \
        -- "$PWD" "$@" </dev/null | tr -d '\r' | tee "$place/log"
    grep -q '^cgroup2: exit 0$' "$place/log"
    exit
fi

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
export HOME=/dev/shm TMPDIR=/dev/shm
cd "$1"
shift
code=0
"$@" || code=$?
echo "cgroup2: exit $code"
echo o >/proc/sysrq-trigger
sleep 10
