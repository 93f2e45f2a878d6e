"""JupyterHub: users, groups, servers, tokens; associations without a key of their own."""

import secrets
import sys

from jupyterhub import orm
from sqlalchemy.orm import Session


def write(session: Session) -> None:
    """Users with groups, servers and tokens; then one of each is taken away again."""
    if not session.query(orm.OAuthClient).filter_by(identifier="jupyterhub").count():
        session.add(orm.OAuthClient(identifier="jupyterhub", secret="", redirect_uri=""))
    for number in range(8):
        name = f"{secrets.token_hex(4)}-{number}"
        user = orm.User(name=f"Zoë-{name}", admin=bool(number % 2), state={"n": number})
        group = orm.Group(name=f"group-{name}")
        session.add_all([user, group])
        group.users.append(user)
        session.add(orm.Spawner(name=f"server-{number}", user=user, state={"pid": number}))
        session.commit()
        user.new_api_token(note="a note")
    session.delete(session.query(orm.User).first())
    session.delete(session.query(orm.Group).first())
    session.commit()


if __name__ == "__main__":
    step, url = sys.argv[1:]
    with orm.new_session_factory(url)() as opened:
        if step == "write":
            write(opened)
