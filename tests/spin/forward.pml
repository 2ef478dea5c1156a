/* forward.pml - dora__node_loan_slice and scan_roots: a payload that is sent on
 * by reference, over two hops.
 *
 * A owns the root record and its payload. B holds it by its edge and sends it
 * on as record 1, C gets that and sends it on as record 2; both name the root.
 * A takes the payload back when the root's holders are 0, no living record
 * names it, and its count of forwards did not change meanwhile. B and C may die
 * at any time; the host clears what they held, but counts nothing.
 *
 * Checked: the payload is never taken back under a reader; at rest it was.
 *
 * NAIVE_NO_COUNT   NAIVE_COUNTED_EARLY: before the record lives
 * NAIVE_NO_SCAN: the count alone decides */
#define OWN  1
#define EDGE 2

byte root_holders=EDGE, forwards;        /* the edge from A to B */
byte holders1, holders2;
bit names1, names2;                      /* record names the root */
bit sent, taken_back, reads_b=1, reads_c, reads_2;
bit dead_b, dead_c, done_b, done_c, buried_b, buried_c, end_c;
byte deaths;

#ifdef NAIVE_NO_COUNT
#define COUNT skip
#else
#define COUNT forwards++
#endif
#ifdef NAIVE_COUNTED_EARLY
#define LIVE(h) COUNT; h=OWN
#else
#define LIVE(h) h=OWN; COUNT
#endif

active proctype A() {
  byte before; bit named;
  do
  :: root_holders==0 ->                  /* let go: on the list of roots */
     before=forwards; named=0;
#ifndef NAIVE_NO_SCAN
     if :: holders2!=0 -> if :: names2 -> named=1 :: else fi :: else fi;
     if :: holders1!=0 -> if :: names1 -> named=1 :: else fi :: else fi;
#endif
     if :: !named && forwards==before -> break :: else fi
  od;
  atomic { taken_back=1; assert(!reads_b && !reads_c && !reads_2);
           assert(!(holders1&EDGE)) }
}

active proctype B() {
  {
    names1=1; LIVE(holders1);
    holders1=holders1|EDGE; sent=1;
    holders1=holders1&(255-OWN);
    atomic { reads_b=0; root_holders=0 };
    done_b=1; goto out
  } unless { dead_b };
out: skip
}

active proctype C() {
  {
    if
    :: sent -> atomic { assert(!taken_back); reads_c=1 }
    :: done_b && !sent -> end_c=1; done_c=1; goto out
    fi;
    names2=1; LIVE(holders2);
    reads_2=1;
    atomic { reads_c=0; holders1=holders1&(255-EDGE) };
    assert(!taken_back);
    atomic { reads_2=0; holders2=0 };
    atomic { done_c=1; end_c=1 }
  } unless { dead_c };
out: skip
}

active proctype Host() {
end:
  do
  :: dead_b && !buried_b ->
     buried_b=1;
     if :: !sent -> holders1=holders1&(255-EDGE) :: else fi;   /* the intent */
     holders1=holders1&(255-OWN);
     root_holders=0;
     done_b=1
  :: dead_c && !buried_c && done_b ->
     buried_c=1;
     holders2=0;
     holders1=holders1&(255-EDGE);
     end_c=1
  od
}

active proctype Fate() {
end:
  do
  :: atomic { deaths<2 && !dead_b && !done_b -> dead_b=1; reads_b=0; deaths++ }
  :: atomic { deaths<2 && !dead_c && !done_c -> dead_c=1; reads_c=0; reads_2=0; deaths++ }
  od
}

active proctype Rest() {
  taken_back && done_b && end_c;
  assert(root_holders==0 && holders1==0 && holders2==0)
}
