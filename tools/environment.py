"""The environment in which tests and the notebooks run. Set it before torch and gptlib are imported."""

# one thread makes numbers repeat; no bars in the outputs; shapes are checked
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "GPTLIB_CHECK_SHAPES": "1"}
# the tests cut chapter 17's training short; its stored outputs are those of a whole run
SHORT = {"GPTLIB_FULL_RUN_STEPS": "60"}
