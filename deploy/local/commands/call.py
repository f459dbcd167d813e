import json
import sys
from argparse import Namespace

import httpx

from deploy.local import launch
from deploy.local.people import PEOPLE, password
from deploy.local.plan import Plan
from deploy.local.settings import Outside
from deploy.local.terminal import LocalError

CLIENT = {"X-Rapport-Client": "cli"}
PATIENCE = 30.0


def command(asked: Namespace, _: Outside) -> int:
    """One request through the gateway: what it answers on the output, with which status beside it."""
    answer = request(launch.running(asked.state), asked.method, asked.path, person=asked.person, data=asked.data)
    print(f"{answer.status_code} {answer.reason_phrase}", file=sys.stderr)
    print(shown(answer))
    return 0 if answer.is_success else 1


def request(
    plan: Plan, method: str, path: str, *, person: str | None = None, data: str | None = None
) -> httpx.Response:
    """Ask the gateway, in a session of `person` that ends with the answer."""
    try:
        with httpx.Client(base_url=plan.urls["store"], headers=CLIENT, timeout=PATIENCE) as client:
            cookie = sign_in(client, plan, person) if person else {}
            kind = {"Content-Type": "application/json"} if data else {}
            answer = client.request(method, path, content=data, headers=cookie | kind)
            if cookie:
                client.delete("/session", headers=cookie)
            return answer
    except httpx.TransportError:
        raise LocalError("the gateway does not answer. Type: ./rapport status") from None


def sign_in(client: httpx.Client, plan: Plan, person: str) -> dict[str, str]:
    """The header of a session of one of the sample people."""
    email = next((one.email for one in PEOPLE if one.name == person), None)
    if email is None:
        raise LocalError(f"there is no {person}. There are: {', '.join(one.name for one in PEOPLE)}")
    answer = client.post("/session", json={"email": email, "password": password(plan)})
    if not answer.is_success:
        raise LocalError(f"{person} cannot sign in ({answer.status_code}): {answer.text}")
    # The cookie is for secure connections, and a browser counts this machine as one: so do we.
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def shown(answer: httpx.Response) -> str:
    if "json" in answer.headers.get("content-type", ""):
        return json.dumps(answer.json(), indent=2, ensure_ascii=False)
    return answer.text
