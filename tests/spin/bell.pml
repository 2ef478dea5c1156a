/* bell.pml - bell.h: two sleepers of one node, two ringers of whom one may die,
 * the host that rings after a death and at the stop.
 *
 * Checked: nobody sleeps while there is something to take, and a stop reaches
 * every sleeper. After a message a thread may also never come back (it runs
 * user code for ever): then it need not take more.
 *
 * ITEMS of each ringer   NAIVE_WAITER_CLEARS: a woken thread clears the bit
 * NAIVE_ARMED_LATE: no look between arming and sleeping
 * NAIVE_NO_RING_AT_DEATH */
#ifndef ITEMS
#define ITEMS 1
#endif
#define SLEEPERS 2
#define RINGERS  2
#define WAITER   1
#define NEXT(w)  ((((w)&254)+2)&15)      /* a short sequence: it wraps */

byte word, items;
bit stopped, asleep[SLEEPERS];
byte ended, left, rung, died, deaths=1;

#define LOOK  if :: atomic { items>0 -> items--; goto got } :: else fi; \
              if :: stopped -> break :: else fi
#define WAKE_ALL d_step { asleep[0]=0; asleep[1]=0 }

proctype Sleeper(byte n) {
  byte w;
  do
  ::
     LOOK;
     atomic { word=word|WAITER; w=word };
#ifndef NAIVE_ARMED_LATE
     LOOK;
#endif
     atomic { if :: word==w -> asleep[n]=1 :: else fi };   /* futex_wait */
     asleep[n]==0;
#ifdef NAIVE_WAITER_CLEARS
     word=word&254;
#endif
     if
     :: false ->
got:    w=0;
        if :: true :: left++; goto out fi
     :: else
     fi
  od;
out: ended++
}

proctype Ringer() {
  byte i, w; bit won;
  do
  :: i<ITEMS ->
     items++;
     if :: deaths>0 -> deaths--; goto dead :: true fi;
     w=word;
     do
     :: w&WAITER ->
        atomic { if :: word==w -> word=NEXT(w); won=1 :: else -> w=word fi };
        if
        :: won -> if :: deaths>0 -> deaths--; goto dead :: true fi;
                  WAKE_ALL; won=0; break
        :: else
        fi
     :: else -> break
     od;
     w=0; i++
  :: else -> goto out
  od;
dead: died++;
out: rung++
}

active proctype Host() {
  do
  :: died>0 -> died--;
#ifndef NAIVE_NO_RING_AT_DEATH
     word=NEXT(word); WAKE_ALL
#endif
  :: timeout -> break
  od;
  assert(rung==RINGERS);
  assert(items==0 || left==SLEEPERS);
  stopped=1;
  word=NEXT(word); WAKE_ALL;
  timeout;
  assert(ended==SLEEPERS)
}

init { atomic { run Sleeper(0); run Sleeper(1); run Ringer(); run Ringer() } }
