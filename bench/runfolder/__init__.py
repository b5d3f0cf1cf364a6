"""The run folder: the one place that knows what a run leaves, how it is named, and how damage to it is found.

run.json                                                    the record: what was asked for, what decided the numbers
images.txt                                                  the images, one id a line, in the run's order
guides.txt                                                  digests of the guides that it was given, an image a line
parts/<settings>/<model>@<digest>/<start>-<stop>.parquet    what one model left on consecutive images, as rows
parts/<settings>/<model>@<digest>/<start>-<stop>.<extractor>.npy    feature vectors beside them, [cells, images, D]
parts/<settings>/<model>@<digest>/folded.<extractor>.<cell>.safetensors    what stands for the vectors of many images
parts/<settings>/truth/...                                  the same of the photographs: their digests and vectors
images/<mask set>/<bucket>/<image>/{truth,mask,masked}.png  the few pictures kept for the report
images/<mask set>/<bucket>/<image>/models/<model>.png       what each model made of them
results.parquet, summary.parquet                            a row per image and cell; a row per cell and metric
logs/<model>.txt                                            what a model's own code printed

A file that exists is whole: it is written beside its name and renamed. Every file but the logs carries a digest, or
has it in another file, and whoever reads it looks. What is damaged is called so in a sentence and `bench run` makes it
again.
"""
