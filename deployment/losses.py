"""What a deployment would lose of what is deployed now, by name.

Settings are compared with those that the app has, whoever set them, since a deployment replaces them all. Parameters
that become no setting (the alert address, the network, sizes) are compared with those of the last deployment: one that
somebody had given, and that is now empty or the template's default, has been forgotten. What is changed to something
else is no loss; the preview shows it.
"""

from collections.abc import Mapping

from deployment.azure import Group
from deployment.deployed import Recorded, app_in, is_there, recorded, settings_of
from deployment.errors import DeploymentError
from deployment.parameters import Parameters, defaults_of, is_empty

__all__ = ["losses", "refuse_losses"]

SECRET = "MAIL_SECRET_"  # noqa: S105 - the beginning of names
FOR_ONCE = frozenset({"vaultCreateMode"})  # parameters that are meant to go back to their defaults


def refuse_losses(group: Group, parameters: Parameters, allowed: str) -> None:
    """Raise DeploymentError that names what would be lost, but for what `allowed` names, separated by commas."""
    if not is_there(group):
        return
    environment = str(parameters.values["environmentName"])
    app = app_in(group, environment)
    found = losses(settings_of(app) if app else None, recorded(group, environment), parameters)
    names = set(allowed.replace(",", " ").split())
    lost = {name: why for name, why in found.items() if name not in names}
    if lost:
        lines = "\n".join(f"  {name}: {why}" for name, why in lost.items())
        raise DeploymentError(
            f"What is deployed in {group.resource_group} would lose:\n{lines}\n"
            f"Nothing was changed. Add them to the parameters; or, to lose them, say ALLOW_EMPTY={','.join(lost)}"
        )


def losses(settings: Mapping[str, str] | None, last: Recorded | None, parameters: Parameters) -> dict[str, str]:
    """Names, and why. settings: those of the app; last: the last deployment. None: there is none."""
    found: dict[str, str] = {}
    coming = parameters.settings()
    for name, value in sorted((settings or {}).items()):
        if value.strip() and coming.get(name, True):
            found[name] = _why(name, known=name in coming)
    if last is None:
        return found
    compared = last.values.keys() - FOR_ONCE - (parameters.in_settings() if settings is not None else set())
    now, defaults, then = parameters.values, defaults_of(parameters.template), defaults_of(last.template)
    for name in sorted(compared & parameters.template["parameters"].keys()):
        before = last.values[name]
        if is_empty(before) or before == then.get(name) or before == now.get(name):
            continue
        if name not in now and name not in then:
            continue  # what Azure computes
        if is_empty(now.get(name)):
            found[name] = "a parameter of the last deployment, and empty now"
        elif now[name] == defaults.get(name):
            found[name] = f"{_shown(before)} at the last deployment, and {_shown(now[name])}, the default, now"
    return found


def _why(name: str, *, known: bool) -> str:
    if name.startswith(SECRET):
        return "a secret in a setting; put it into the vault (make secret), then remove it from the app"
    return "a setting that would be empty" if known else "a setting of the app that the template does not have"


def _shown(value: object) -> str:
    text = str(value)
    return text if isinstance(value, str | int | bool) and len(text) <= 40 else "another value"  # noqa: PLR2004 - a line
