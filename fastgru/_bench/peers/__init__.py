"""Adapters: how each library runs one GRU layer.

An adapter imports its library, NumPy, and nothing else; `worker.py` runs it by path. It has:

    version() -> str
    infer(arrays, threads) -> run, results
    train(arrays, threads) -> run, results
    step(arrays, threads) -> run, results

`arrays` has x (B, T, I), kernel (I, 3H), recurrent_kernel (H, 3H), bias (2, 3H) with the gates in
the order z, r, n, and the gradient dy (B, T, H). `run()` does the job once: forward, or forward and
backward to x, both kernels and the biases. `results(run())` gives y, and the gradients dx, dkernel,
drecurrent_kernel, dbias, by name and in the layouts of `arrays`. What a library keeps between two
calls, such as packed weights in inference, is made before; arrays are laid out as it likes best.
NotImplementedError says why it cannot do a job.

`step` takes a training step of a whole model: Embedding, GRU, Dense with a sigmoid, the mean binary
cross-entropy of its last output, Adam with Keras' defaults. `arrays` has ids (B, T) and labels
(B, 1) beside the weights: table (V, I), the GRU's, dense_kernel (H, 1), dense_bias (1,).
`results(run())` gives the loss before the update.
"""
