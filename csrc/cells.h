/* The choice among the cells. */
#ifndef FASTGRU_CELLS_H
#define FASTGRU_CELLS_H

#include "differentiate.h"
#include "gru.h"
#include "lstm.h"
#include "simple_rnn.h"

static finish_function *finish_function_of(const shape *s) {
    const int standard = has_standard_activations(s);
    switch (s->cell) {
    case FASTGRU_GRU:
        return standard ? finish_standard_gru : finish_any_gru;
    case FASTGRU_LSTM:
        return standard ? finish_standard_lstm : finish_any_lstm;
    case FASTGRU_SIMPLE_RNN:
        break;
    }
    return standard ? finish_standard_simple_rnn : finish_any_simple_rnn;
}

static void step_back(backward_pass *b, const back_step *t) {
    if (b->shape->cell == FASTGRU_GRU) {
        gru_step_back(b, t);
        return;
    }
    if (b->shape->cell == FASTGRU_SIMPLE_RNN) differentiate_simple_rnn(b, t);
    else if (has_standard_activations(b->shape)) differentiate_standard_lstm(b, t);
    else differentiate_any_lstm(b, t);
    wait_for_units(b, t->part);
    carry_back(b, t, 0);
}

#endif
