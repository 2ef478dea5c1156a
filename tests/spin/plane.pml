/* plane.pml - one output and its edges: ring.h, node_send.c, node_receive.c and
 * plane_death.c, with a death after any access to shared memory.
 *
 * Participant 0 is the producer, e + 1 the consumer of edge e. An access to
 * shared memory is one step; what only its own participant sees costs none.
 * The host restarts the dead or gives them up, both are tried. Checked:
 *   - a record is loaned only when no ring has it and no living reader;
 *   - what a reader holds stays as it was sent and keeps its bit;
 *   - an edge's messages come in the order of their seq;
 *   - sent, delivered, dropped agree with independent counts at each change;
 *   - the end is told only after the last message;
 *   - at rest everybody has ended, rings are empty, holders 0, gates free.
 *
 * EDGES 1..2   RINGS 1..2 (ordinary, protected)   BOUND 1..2   RECORDS 2..4
 * MESSAGES     DEATHS     BACKPRESSURE (of the last edge)     REMOVE (edge 0,
 * while its consumer lives)     NAIVE_*: one repair taken out */
#ifndef EDGES
#define EDGES 1
#endif
#ifndef RINGS
#define RINGS 1
#endif
#ifndef BOUND
#define BOUND 1
#endif
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef MESSAGES
#define MESSAGES 4
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifdef BACKPRESSURE
#define BLOCKS(e) ((e) == EDGES-1)
#else
#define BLOCKS(e) false
#endif
#ifdef NO_GIVING_UP
#define GIVES_UP false
#else
#define GIVES_UP true
#endif

#define BIT(e)     (2<<(e))
#define POS(h)     ((h)>>1)
#define Q(e,k)     ((e)*RINGS+(k))
#define COUNT(e,k) (tail[Q(e,k)]-POS(head[Q(e,k)]))
#define SLOT(e,k,p) slot[Q(e,k)*BOUND+(p)%BOUND]
#define NOBODY     15
#define HAS(e,k,r) ((COUNT(e,k)>=1 && SLOT(e,k,POS(head[Q(e,k)]))==r) || \
                    (COUNT(e,k)>=2 && SLOT(e,k,POS(head[Q(e,k)])+1)==r))
#define EXACT(q)   (dropped[q]+((dropped[q]^head[q])&1))

#if RINGS == 2
#define QUEUED(e,r) (HAS(e,0,r) || HAS(e,1,r))
#define FILL(e)     (COUNT(e,0)+COUNT(e,1))
#define TAILS(e)    (tail[Q(e,0)]+tail[Q(e,1)])
#define DROPS(e)    (EXACT(Q(e,0))+EXACT(Q(e,1)))
#define HEADS(e)    (POS(head[Q(e,0)])+POS(head[Q(e,1)]))
#else
#define QUEUED(e,r) HAS(e,0,r)
#define FILL(e)     COUNT(e,0)
#define TAILS(e)    tail[e]
#define DROPS(e)    EXACT(e)
#define HEADS(e)    POS(head[e])
#endif
#if EDGES == 2
#define IN_USE(r)   (QUEUED(0,r) || QUEUED(1,r) || held[0]==r+1 || held[1]==r+1)
#else
#define IN_USE(r)   (QUEUED(0,r) || held[0]==r+1)
#endif
#ifdef NAIVE_NO_PARITY
#define AGREE(e) assert(TAILS(e)==sent[e])
#else
#define AGREE(e) assert(TAILS(e)==sent[e] && DROPS(e)==lost[e] && \
                        HEADS(e)-DROPS(e)==taken[e])
#endif

#define PRODUCER_IN 1
#define HOST_IN     2
#define PUSH        1
#define DROP        2

/* Shared memory. */
byte holders[RECORDS];
byte seq[RECORDS];                    /* of the message; its payload too */
byte slot[EDGES*RINGS*BOUND], head[EDGES*RINGS], tail[EDGES*RINGS];
byte dropped[EDGES*RINGS];
bit closed[EDGES];
#if EDGES == 2
byte mask=6;
#else
byte mask=2;
#endif
byte gate;
byte ikind, iring, iedge, irecord, ipos;   /* the intent: one word */
byte bell[EDGES+1]; bit asleep[EDGES+1];
/* What is true of the participants. */
bit dead[EDGES+1], gone[EDGES+1], done[EDGES+1], given_up[EDGES+1];
byte message, deaths;
/* Independent counts. */
byte sent[EDGES], taken[EDGES], lost[EDGES], last[EDGES], held[EDGES];

/* Forgets what nobody can see any more: fewer states. */
#define CLEAR(r,b) atomic { if :: holders[r]&(b) -> holders[r]=holders[r]&(255-(b)); \
                            if :: holders[r]==0 -> seq[r]=0 :: else fi :: else fi }
#define INTEND(kind,e,k,r,p) ikind=kind; iedge=e; iring=k; irecord=r; ipos=p

/* The bell: its word has only the waiter bit here, the sequence is in the
 * atomicity of "sleep if the bit is still there". */
inline ring(n) {
  x=bell[n];
  if
  :: x==1 -> atomic { if :: bell[n]==1 -> bell[n]=0; y=1 :: else -> y=0 fi };
             if :: y==1 -> asleep[n]=0 :: else fi
  :: else
  fi;
  atomic { x=0; y=0 }
}
inline host_rings(n) { bell[n]=0; asleep[n]=0 }
inline sleep(n) {
  atomic { if :: bell[n]==1 -> asleep[n]=1 :: else fi };
  asleep[n]==0
}

/* dora__ring_drop */
inline drop(e,k) {
  atomic { h=head[Q(e,k)]; ok=0;
           if :: tail[Q(e,k)]!=POS(h) -> i=SLOT(e,k,POS(h)); ok=1 :: else fi };
  if
  :: ok ->
#ifndef NAIVE_NO_DROP_INTENT
     atomic { INTEND(DROP,e,k,i,h) };
#endif
     atomic { if :: head[Q(e,k)]==h -> SLOT(e,k,POS(h))=NOBODY;
                                       head[Q(e,k)]=(h+2)^1; lost[e]++
                 :: else -> ok=0 fi };
     if
     :: ok -> CLEAR(i,BIT(e));
              atomic { dropped[Q(e,k)]++; AGREE(e) }
     :: else
     fi
  :: else
  fi;
  atomic { h=0; i=0; ok=0 }
}

/* dora__ring_put */
inline put(e,k) {
  atomic { INTEND(PUSH,e,k,r,tail[Q(e,k)]) };
#ifndef NAIVE_BIT_BEFORE_BLOCKING
  holders[r]=holders[r]|BIT(e);
#endif
  SLOT(e,k,tail[Q(e,k)])=r;
  atomic { tail[Q(e,k)]=tail[Q(e,k)]+1; sent[e]++; AGREE(e) }
}

inline enter() {
#ifndef NAIVE_NO_GATE
  atomic { gate==0 -> gate=PRODUCER_IN }
#else
  skip
#endif
}
inline leave() {
  atomic { INTEND(0,0,0,0,0) };
#ifndef NAIVE_NO_GATE
  gate=0
#else
  skip
#endif
}

#if RECORDS == 2
#define SOME_FREE (holders[0]==0 || holders[1]==0)
#elif RECORDS == 3
#define SOME_FREE (holders[0]==0 || holders[1]==0 || holders[2]==0)
#else
#define SOME_FREE (holders[0]==0 || holders[1]==0 || holders[2]==0 || holders[3]==0)
#endif

active proctype Producer() {
  byte r, e, h, i, x, y, f;
  bit ok, waiting, protect, flush, pushed0, pushed1;
again:
  {
    do
    :: message < MESSAGES ->
       /* loan */
       atomic { SOME_FREE; r=0; do :: holders[r]!=0 -> r++ :: else -> break od;
                assert(!IN_USE(r)); message++; seq[r]=message;
#if RINGS == 2
                if :: protect=0 :: protect=1 :: flush=1 fi
#endif
              };
       holders[r]=1;
       /* push_all, and again for an edge that blocked */
       enter();
       e=0;
       do
       :: e<EDGES ->
edge:     if
          :: mask & BIT(e) ->
#ifdef NAIVE_BIT_BEFORE_BLOCKING
             holders[r]=holders[r]|BIT(e);
#endif
#if RINGS == 2
             if
             :: flush -> do :: COUNT(e,0)>0 -> drop(e,0) :: else -> break od
             :: else
             fi;
#endif
judge:       f=POS(head[Q(e,0)]);
#if RINGS == 2
             ok=(tail[Q(e,0)]!=f);             /* the ordinary ring has some */
             f=f+POS(head[Q(e,1)]);
#endif
             if
             :: TAILS(e)-f < BOUND -> 
                f=0; ok=0;
#if RINGS == 2
                if :: protect -> put(e,1) :: else -> put(e,0) fi;
#else
                put(e,0);
#endif
                if :: e==0 -> pushed0=1 :: else -> pushed1=1 fi
             :: TAILS(e)-f >= BOUND && BLOCKS(e) ->
                atomic { f=0; ok=0 };
                leave();
                if :: pushed0 -> ring(1); pushed0=0 :: else fi;
                if
                :: !waiting -> bell[0]=1; waiting=1
                :: else -> sleep(0); waiting=0
                fi;
                enter();
                goto edge
             :: TAILS(e)-f >= BOUND && !BLOCKS(e) ->
                f=0;
#if RINGS == 2
                if
                :: ok -> drop(e,0); goto judge
                :: !ok && protect -> drop(e,1); goto judge
                :: !ok && !protect                     /* refused */
                fi
#else
                drop(e,0); goto judge
#endif
             fi
          :: else
          fi;
          atomic { waiting=0; ok=0; e++ }
       :: else -> break
       od;
       leave();
       if :: pushed0 -> ring(1) :: else fi;
#if EDGES == 2
       if :: pushed1 -> ring(2) :: else fi;
#endif
       CLEAR(r,1);
       atomic { r=0; e=0; protect=0; flush=0; pushed0=0; pushed1=0 }
    :: else -> break
    od;
    e=0;
    do
    :: e<EDGES -> closed[e]=1; ring(e+1); e++
    :: else -> break
    od;
    atomic { e=0; done[0]=1; goto fin }
  } unless { dead[0] };
  atomic { r=0; e=0; h=0; i=0; x=0; y=0; f=0; ok=0; waiting=0; protect=0;
           flush=0; pushed0=0; pushed1=0; gone[0]=1;
           (!gone[0] || given_up[0]);
           if :: given_up[0] -> goto fin :: else -> goto again fi };
fin: skip
}

proctype Consumer(byte e) {
  byte h, h1, t, i, s, i1, s1, x, y;
  bit c, armed, k;
again:
  {
    do
    ::
#ifdef NAIVE_CLOSED_READ_LATE
       atomic { h=head[Q(e,0)]; t=tail[Q(e,0)]; i=SLOT(e,0,POS(h)) };
       if :: t==POS(h) -> c=closed[e] :: else fi;
#else
       c=closed[e];
       /* dora__edge_look; a slot is only its owner's to overwrite, the seq of
        * what it names may be a later message's */
       h=head[Q(e,0)];
       atomic { t=tail[Q(e,0)]; i=SLOT(e,0,POS(h)) };
#endif
       atomic { if :: t==POS(h) -> i=NOBODY :: else fi };
#if RINGS == 2
       s=255;
       if :: i!=NOBODY -> s=seq[i] :: else fi;
       h1=head[Q(e,1)];
       atomic { if :: tail[Q(e,1)]!=POS(h1) -> i1=SLOT(e,1,POS(h1)) :: else -> i1=NOBODY fi };
       s1=255;
       if :: i1!=NOBODY -> s1=seq[i1] :: else fi;
       k=(s1<s);
#ifndef NAIVE_NO_SECOND_LOOK
       if
       :: i==NOBODY && i1==NOBODY
       :: k && !(i==NOBODY && i1==NOBODY) ->
          if :: head[Q(e,0)]!=h -> goto retry :: else fi;
          if :: i==NOBODY && tail[Q(e,0)]!=t -> goto retry :: else fi
       :: !k && !(i==NOBODY && i1==NOBODY) ->
          if :: head[Q(e,1)]!=h1 -> goto retry :: else fi;
          if :: i1==NOBODY && tail[Q(e,1)]!=POS(h1) -> goto retry :: else fi
       fi;
#endif
       atomic { if :: k -> h=h1; i=i1 :: else fi; h1=0; i1=0; s=0; s1=0 };
#endif
       if
       :: atomic { i==NOBODY && c -> assert(closed[e] && FILL(e)==0); done[e+1]=1; goto fin }
       :: atomic { i==NOBODY && !c && !armed -> bell[e+1]=1; armed=1; h=0; t=0; i=0 }
       :: atomic { i==NOBODY && !c && armed -> h=0; t=0; i=0;
                   if :: bell[e+1]==1 -> asleep[e+1]=1 :: else fi };
          atomic { asleep[e+1]==0 -> armed=0 }
       :: atomic { i!=NOBODY ->
            if
            :: head[Q(e,k)]==h -> SLOT(e,k,POS(h))=NOBODY; head[Q(e,k)]=h+2; taken[e]++;
               AGREE(e); c=0; h=0; t=0; armed=0;
               assert(holders[i]&BIT(e)); assert(seq[i]>last[e]);
               last[e]=seq[i]; held[e]=i+1
            :: else -> i=0; h=0; t=0; c=0; k=0; armed=0; goto retry
            fi };
          if :: BLOCKS(e) -> ring(0) :: else fi;
          atomic { assert(seq[i]==last[e] && (holders[i]&BIT(e)));
                   held[e]=0; holders[i]=holders[i]&(255-BIT(e));
                   if :: holders[i]==0 -> seq[i]=0 :: else fi;
                   i=0; k=0 }
       fi;
retry: atomic { h=0; h1=0; t=0; i=0; i1=0; s=0; s1=0; k=0; c=0 }
    od
  } unless { dead[e+1] };
  atomic { h=0; h1=0; t=0; i=0; i1=0; s=0; s1=0; x=0; y=0; c=0; armed=0; k=0; gone[e+1]=1;
           (!gone[e+1] || given_up[e+1]);
           if :: given_up[e+1] -> goto fin :: else -> goto again fi };
fin: skip
}

/* sweep: what the dead consumer had taken */
inline sweep(e) {
  r=0;
  do
  :: r<RECORDS ->
     if
     :: holders[r]&BIT(e) ->
#ifdef NAIVE_NO_GATE
        if
        :: ikind==PUSH && iedge==e && irecord==r
        :: else -> if :: QUEUED(e,r) :: else -> CLEAR(r,BIT(e)) fi
        fi
#else
        if :: QUEUED(e,r) :: else -> CLEAR(r,BIT(e)) fi
#endif
     :: else
     fi; r++
  :: else -> break
  od; r=0
}

/* drain: a living consumer may take meanwhile */
inline drain(e) {
  k=0;
  do
  :: k<RINGS ->
     do
     :: h=head[Q(e,k)];
        if :: tail[Q(e,k)]==POS(h) -> break :: else fi;
        r=SLOT(e,k,POS(h));
        atomic { if :: head[Q(e,k)]==h -> SLOT(e,k,POS(h))=NOBODY;
                                          head[Q(e,k)]=(h+2)^1; lost[e]++; ok=1
                    :: else -> ok=0 fi };
        if :: ok -> CLEAR(r,BIT(e)); atomic { dropped[Q(e,k)]++; AGREE(e) } :: else fi
     od; k++
  :: else -> break
  od;
  atomic { r=0; h=0; k=0; ok=0 }
}

#ifdef NAIVE_NO_GATE
#define HOST_ENTERS skip
#define HOST_MAY    true
#else
#define HOST_ENTERS gate=HOST_IN
#define HOST_MAY    gate==0
#endif

/* bury_producer and bury_consumer; a sweep waits for the gate, the host does
 * not: it deals with others meanwhile */
active proctype Host() {
  byte r, h, k, e; bit ok, removed;
end:
  do
#ifdef REMOVE
  :: atomic { !removed && !dead[1] && !done[1] && !given_up[1] && HOST_MAY -> removed=1; HOST_ENTERS };
     mask=mask&(255-BIT(0)); drain(0); gate=0; closed[0]=1; host_rings(1); host_rings(0)
#endif
  :: gone[0] && !given_up[0] ->
     if
     :: ikind==PUSH && tail[Q(iedge,iring)]==ipos -> CLEAR(irecord,BIT(iedge))
     :: ikind==DROP ->
#ifdef NAIVE_NO_PARITY
        if :: POS(head[Q(iedge,iring)])>POS(ipos) -> CLEAR(irecord,BIT(iedge)) :: else fi
#else
        if :: (head[Q(iedge,iring)]^ipos)&1 -> CLEAR(irecord,BIT(iedge)) :: else fi
#endif
     :: else
     fi;
     atomic { INTEND(0,0,0,0,0) };
#ifndef NAIVE_NO_PARITY
     k=0;
     do
     :: k<EDGES*RINGS ->
        atomic { if :: (dropped[k]^head[k])&1 -> dropped[k]++ :: else fi; AGREE(k/RINGS) }; k++
     :: else -> break
     od; k=0;
#endif
     r=0; do :: r<RECORDS -> CLEAR(r,1); r++ :: else -> break od; r=0;
     gate=0;
     if
     :: true -> atomic { gone[0]=0; dead[0]=0 }
     :: GIVES_UP -> e=0; do :: e<EDGES -> closed[e]=1; e++ :: else -> break od; e=0; given_up[0]=1
     fi;
#ifndef NAIVE_NO_RING_AT_DEATH
     e=0; do :: e<EDGES -> host_rings(e+1); e++ :: else -> break od; e=0
#endif
  :: atomic { gone[1] && !given_up[1] && HOST_MAY -> HOST_ENTERS };
     sweep(0);
     if
     :: true -> atomic { gone[1]=0; dead[1]=0 }; gate=0
     :: GIVES_UP -> mask=mask&(255-BIT(0)); drain(0); gate=0; given_up[1]=1
     fi;
#ifndef NAIVE_NO_RING_AT_DEATH
     host_rings(0)
#endif
#if EDGES == 2
  :: atomic { gone[2] && !given_up[2] && HOST_MAY -> HOST_ENTERS };
     sweep(1);
     if
     :: true -> atomic { gone[2]=0; dead[2]=0 }; gate=0
     :: GIVES_UP -> mask=mask&(255-BIT(1)); drain(1); gate=0; given_up[2]=1
     fi;
#ifndef NAIVE_NO_RING_AT_DEATH
     host_rings(0)
#endif
#endif
  od
}

#define KILL(p) atomic { deaths<DEATHS && !dead[p] && !done[p] && !given_up[p] -> \
                         deaths++; dead[p]=1; asleep[p]=0 }
active proctype Fate() {
  byte r, e;
  do
  :: KILL(0)
  :: atomic { deaths<DEATHS && !dead[1] && !done[1] && !given_up[1] ->
              deaths++; dead[1]=1; asleep[1]=0; held[0]=0 }
#if EDGES == 2
  :: atomic { deaths<DEATHS && !dead[2] && !done[2] && !given_up[2] ->
              deaths++; dead[2]=1; asleep[2]=0; held[1]=0 }
#endif
  :: timeout -> break
  od;
  skip;
  d_step { skip;
    e=0;
    do
    :: e<=EDGES -> assert(done[e] || given_up[e]); e++
    :: else -> break
    od;
    e=0;
    do
    :: e<EDGES -> assert(FILL(e)==0); AGREE(e); e++
    :: else -> break
    od;
    r=0; do :: r<RECORDS -> assert(holders[r]==0); r++ :: else -> break od;
    r=0; do :: r<EDGES*RINGS -> assert(dropped[r]==EXACT(r)); r++ :: else -> break od;
    assert(gate==0)
  }
}

init {
  atomic {
#if EDGES == 2
    run Consumer(1);
#endif
    run Consumer(0)
  }
}
