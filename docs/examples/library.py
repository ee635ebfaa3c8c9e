"""The library in a dozen lines."""

import jnlp

nlp = jnlp.load()
[filled] = nlp.run("fill-mask", ["昨日は友達と映画を<mask>に行きました。"], top=3)
for fill in filled.fills:
    print(fill.tokens, f"{fill.score:.3f}")

for result in nlp.stream("toxicity", ["ありがとう。", "消えろ、クズ。"], threshold=0.7):
    print(result.toxic, [span.reason for span in result.spans])
