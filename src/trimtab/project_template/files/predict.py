"""A client: asks for predictions, and later tells what was true."""

import sys

from pipeline import TARGET, past

from trimtab import Client, Label

count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
cases = past().sample(count, replace=True, random_state=count)

with Client("http://127.0.0.1:8080") as client:
    for start in range(0, count, 10):
        part = cases.iloc[start : start + 10]
        answer = client.predict("my-model", part.drop(columns=TARGET).to_dict("records"))
        truth = enumerate(part[TARGET].tolist())
        client.label("my-model", [Label(value, id=answer.id, row=row) for row, value in truth])
    print(f"{count} cases answered by {answer.release} and labelled; trimtab status my-model")
