"""A client: asks for predictions, and later tells what was true."""

import sys

from pipeline import TARGET, past

from trimtab import Client, Label

count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
cases = past().sample(count, replace=True, random_state=count)

with Client("http://127.0.0.1:8080") as client:
    for case in cases.to_dict("records"):
        truth = case.pop(TARGET)
        answer = client.predict("my-model", [case])
        client.label("my-model", [Label(truth, id=answer.id)])
    print(f"{count} cases answered by {answer.release} and labelled; trimtab status my-model")
