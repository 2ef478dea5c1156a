/* strays.h - what nodes have left running when their guardian is gone. */
#ifndef DORA_STRAYS_H
#define DORA_STRAYS_H

/* Kills every process of this user that has inherited the environment of a
 * node of the dataflow. */
void dora__strays_kill(const char *flow_id);

#endif
