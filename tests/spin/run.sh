#!/bin/sh
# run.sh BUILD [long] - checks the models of this directory with Spin.
#
# Every configuration is searched to its end (states by their hash: a small
# chance that one is taken for another). One with a repair taken out must lead
# to an error: else the model would not see what the repair is for. The short
# set takes a minute or two, the long one half an hour and 6 GB.
set -u
models=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1" || exit 1
long=${2:-}
failed=0

# search EXPECTED MODEL "FLAGS": EXPECTED is `holds` or `error`.
search() {
    rm -f pan pan.* ./*.trail
    if ! spin $3 -a "$models/$2.pml" >spin.out 2>&1 ||
        ! ${CC:-gcc} -O2 -w -DSAFETY -DHC4 -DVECTORSZ=1024 -DMEMLIM=6000 \
            -o pan pan.c; then
        cat spin.out
        found=broken
    else
        # -E: a process that waits for ever is judged by the model itself.
        ./pan -E -m500000 -w23 >pan.out 2>&1
        found=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.out)
        grep -q 'Search not completed' pan.out && [ "$found" = 0 ] &&
            found=unfinished
    fi
    case $1/$found in
    holds/0 | error/[1-9]*) verdict=ok ;;
    *) verdict="FAILED ($found)" failed=1 ;;
    esac
    printf '%-6s %-8s %-58s %11s states  %s\n' "$1" "$2" "$3" \
        "$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.out)" "$verdict"
}

search holds plane ""
search holds plane "-DBACKPRESSURE -DMESSAGES=3"
search holds plane "-DRINGS=2 -DMESSAGES=2"
search holds plane "-DRINGS=2 -DBOUND=2 -DDEATHS=0 -DMESSAGES=3"
search holds plane "-DREMOVE -DMESSAGES=2"
search holds plane "-DEDGES=2 -DMESSAGES=2 -DDEATHS=0"
search holds bell ""
search holds forward ""
for repair in NO_GATE NO_DROP_INTENT NO_PARITY NO_RING_AT_DEATH \
    CLOSED_READ_LATE; do
    search error plane "-DNO_GIVING_UP -DNAIVE_$repair"
done
search error plane "-DNAIVE_NO_GATE"
search error plane "-DBACKPRESSURE -DNAIVE_BIT_BEFORE_BLOCKING"
search error plane "-DBACKPRESSURE -DNO_GIVING_UP -DNAIVE_NO_RING_AT_DEATH"
search error plane "-DRINGS=2 -DBOUND=2 -DDEATHS=0 -DNAIVE_NO_SECOND_LOOK"
search error bell "-DITEMS=2 -DNAIVE_WAITER_CLEARS"
search error bell "-DNAIVE_ARMED_LATE"
search error bell "-DNAIVE_NO_RING_AT_DEATH"
search error forward "-DNAIVE_NO_COUNT"
search error forward "-DNAIVE_COUNTED_EARLY"
search error forward "-DNAIVE_NO_SCAN"
if [ "$long" = long ]; then
    search holds plane "-DDEATHS=2"
    search holds plane "-DBACKPRESSURE"
    search holds plane "-DBACKPRESSURE -DDEATHS=2"
    search holds plane "-DBOUND=2 -DMESSAGES=5"
    search holds plane "-DRECORDS=2"
    search holds plane "-DRINGS=2 -DMESSAGES=3"
    search holds plane "-DRINGS=2 -DBOUND=2 -DMESSAGES=3"
    search holds plane "-DREMOVE"
    search holds plane "-DEDGES=2 -DMESSAGES=2 -DNO_GIVING_UP"
    search holds plane "-DEDGES=2 -DMESSAGES=2 -DNO_GIVING_UP -DBACKPRESSURE"
    search holds bell "-DITEMS=2"
fi
exit $failed
