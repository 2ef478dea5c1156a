#!/bin/sh
# Runs a test as a step of `ninja test`: `run_test.sh SECONDS STAMP COMMAND...`.
#
# All that the test says is kept in STAMP.log. Printed is the line that sums it
# up; where it fails, what failed, and the sum last of all, so that a report of
# which only the end is kept still names what failed and why. STAMP is made only
# where it passed.

set -u
limit=$1 stamp=$2
shift 2

rm -f "$stamp"
timeout -k 5 "$limit" "$@" >"$stamp.log" 2>&1
status=$?
if [ "$status" = 0 ]; then
    tail -n 1 "$stamp.log"
    touch "$stamp"
    exit
fi

# Without the lines of the tests that passed or had no cause to run.
grep -av '^\[ RUN \|^\[ *OK \]\|^ *ok \|^skip \|\.\.\. ok$' "$stamp.log" |
    tail -n 400
case $status in
124 | 137) why="not over after $limit s" ;;
*) why="exit code $status" ;;
esac
echo "FAILED ($why): $*"
echo "all it said: $(pwd)/$stamp.log"
exit 1
