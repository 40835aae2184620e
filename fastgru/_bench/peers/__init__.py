"""Adapters: how each library runs one recurrent layer.

An adapter imports its library, NumPy, and nothing else; `worker.py` runs it by path. It has:

    version() -> str
    infer(cell, arrays, threads) -> run, results
    train(cell, arrays, threads) -> run, results
    step(cell, arrays, threads) -> run, results

`cell` is "gru" (reset after; its G = 3 gates are z, r, n), "lstm" (i, f, c, o) or "simple_rnn" (1).
`arrays` has x (B, T, I), kernel (I, GH), recurrent_kernel (H, GH), bias (GH,) (a GRU's: (2, 3H))
and the gradient dy (B, T, H). `run()` does the job once: forward, or forward and backward to x,
both kernels and the biases. `results(run())` gives y, and the gradients dx, dkernel,
drecurrent_kernel, dbias, by name and in the layouts of `arrays`. What a library keeps between two
calls, such as packed weights in inference, is made before; arrays are laid out as it likes best.
NotImplementedError says why it cannot do a job.

`step` takes a training step of a whole model: Embedding, the layer, Dense with a sigmoid, the mean
binary cross-entropy of its last output, Adam with Keras' defaults. `arrays` has ids (B, T) and
labels (B, 1) beside the weights: table (V, I), the layer's, dense_kernel (H, 1), dense_bias (1,).
`results(run())` gives the loss before the update.
"""
