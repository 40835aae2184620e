/* A team of threads that work on one call together. Internal: kernels and dispatch see it, users don't. */
#ifndef FASTGRU_TEAM_H
#define FASTGRU_TEAM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One member's part of the work; members are numbered from 0, the caller. */
typedef void fastgru_task(void *context, int member, int members);

/* Runs the task on at most `wanted` threads and returns when all have done their parts. Members run at the same
 * time, so they may wait for each other at a barrier. Where the threads are at work for another caller already,
 * the team is the caller alone. */
void fastgru_run_team(int wanted, fastgru_task *task, void *context);

/* Where the members of a team wait for each other; zero before its first use. */
typedef struct {
    int arrived;
    unsigned phase;
} fastgru_barrier;

void fastgru_wait(fastgru_barrier *barrier, int members);

#ifdef __cplusplus
}
#endif
#endif
