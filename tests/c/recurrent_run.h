/* A recurrent problem, solved by the library. */
#ifndef RECURRENT_RUN_H
#define RECURRENT_RUN_H

#include "recurrent_plain.h"

typedef enum { INFERENCE, WITHOUT_Y, TRAINING, RECOMPUTE } run_mode; /* WITHOUT_Y: inference */

/* One call, or two, with all they read and write. */
typedef struct {
    fastgru_schedule schedule;
    void *schedule_memory, *kernel, *recurrent, *bias;
    void *y, *dx; /* where their memory begins */
    int without_dx;
    fastgru_forward forward;
    fastgru_backward backward;
} run;

/* r must stay where it is. */
void run_forward(run *r, const problem *, run_mode, int threads);
void run_backward(run *r, const problem *);
void release_run(run *);

/* All that the runs have given, and how much of it. */
typedef struct {
    const char *name;
    const void *data;
    size_t count;
} result;
enum { MOST_RESULTS = 9 };
int results_of(const run *, const problem *, result *); /* in the same order for all runs */

void check_same_results(const char *what, const run *got, const run *expected, const problem *);

#endif
