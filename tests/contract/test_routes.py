"""What the contracts say of HTTP: one route a method, no method forgotten, nothing secret where it would be logged."""

from collections import Counter

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from rapport.annotations.v1 import personal_data_pb2 as options
from rapport.annotations.v1.access_pb2 import Access
from rapport.annotations.v1.access_pb2 import access as access_option

from gateway.__main__ import CONTRACTS
from gateway.routes import Rule
from tests.contract.calls import RULES

METHODS = [
    method
    for files in CONTRACTS.values()
    for file in files
    for service in file.services_by_name.values()
    for method in service.methods
]
# The gateway's own: for browsers, what they give must not leave it, and for directories, which speak SCIM; and what
# systems send in bulk, over gRPC alone.
NOT_OVER_HTTP = {
    "rapport.identity.v1.DeviceCodeService.AnswerDeviceCode": ["gateway"],
    "rapport.identity.v1.FactorsService.ProveAgain": ["gateway"],
    "rapport.identity.v1.FactorsService.ProveFactor": ["gateway"],
    "rapport.identity.v1.FactorsService.SignInByPasskey": ["gateway"],
    "rapport.identity.v1.IdentityService.CreateSession": ["gateway"],
    "rapport.identity.v1.IdentityService.IssueAccessToken": ["gateway"],
    "rapport.identity.v1.OAuthService.Authorize": ["gateway"],
    "rapport.identity.v1.OAuthService.CallEndpoint": ["gateway"],
    "rapport.identity.v1.OAuthService.EndSession": ["gateway"],
    "rapport.identity.v1.PaymentMethodsService.GetPaymentToken": ["shop"],
    "rapport.identity.v1.ProofService.CheckProof": ["gateway"],
    "rapport.identity.v1.ProvisioningService.DeprovisionUser": [],
    "rapport.identity.v1.ProvisioningService.GetProvisionedUser": [],
    "rapport.identity.v1.ProvisioningService.ListProvisionedUsers": [],
    "rapport.identity.v1.ProvisioningService.ProvisionUser": [],
    "rapport.identity.v1.ProvisioningService.UpdateProvisionedUser": [],
    "rapport.identity.v1.SocialService.BeginSocialSignIn": ["gateway"],
    "rapport.identity.v1.SocialService.CompleteSocialSignIn": ["gateway"],
    "rapport.identity.v1.SocialService.ConfirmSocialAddress": ["gateway"],
    "rapport.identity.v1.SocialService.GetSocialDeletion": ["gateway"],
    "rapport.identity.v1.SocialService.GiveSocialAddress": ["gateway"],
    "rapport.identity.v1.SocialService.ProveSocialPassword": ["gateway"],
    "rapport.identity.v1.SocialService.TakeSignedRequest": ["gateway"],
    "rapport.loyalty.v1.FinanceService.ImportBalances": ["operator"],
    "rapport.loyalty.v1.LedgerService.BatchPost": ["shop", "operator"],
    "rapport.loyalty.v1.LedgerService.StreamPost": ["shop", "operator"],
}


def test_every_method_that_a_frontend_may_call_has_a_route() -> None:
    without = {method.full_name for method in METHODS} - {rule.method.full_name for rule in RULES}
    assert without == NOT_OVER_HTTP.keys()


def test_what_has_no_route_is_for_our_own_services_and_for_programs() -> None:
    for method in METHODS:
        if method.full_name in NOT_OVER_HTTP:
            said: Access = method.GetOptions().Extensions[access_option]
            ways = (said.public, said.signed_in, said.owner, list(said.roles))
            assert not any(ways), method.full_name
            assert list(said.services) == NOT_OVER_HTTP[method.full_name]


def test_each_route_leads_to_one_method() -> None:
    routes = Counter((rule.verb, rule.template.parts, rule.template.custom) for rule in RULES)
    assert not [route for route, count in routes.items() if count > 1]


def test_routes_are_as_frontends_expect_them() -> None:
    for rule in RULES:
        assert rule.template.text.startswith("/v1/"), rule
        assert (rule.body != "") == (rule.verb in ("POST", "PATCH")), rule
        name = rule.method.name
        if name.startswith(("Get", "List", "Search", "Verify", "Download")):
            assert rule.verb == "GET", rule
        elif name.startswith("Update"):
            assert rule.verb == "PATCH", rule
        elif name.startswith("Delete"):
            assert rule.verb == "DELETE", rule
        else:
            assert rule.verb == "POST", rule


# What is typed into a search box is in the address of its result, as everywhere; our logs hold no addresses.
IN_ADDRESSES = {"rapport.support.v1.SearchArticlesRequest.query"}


def test_nothing_personal_is_said_in_an_address() -> None:
    """Addresses stay in histories and in the logs of others."""
    found = {field.full_name for rule in RULES for field in addressed(rule) if is_personal(field)}
    assert found == IN_ADDRESSES


def addressed(rule: Rule) -> list[FieldDescriptor]:
    """The fields that path and query may say."""
    if rule.body == "*":
        return []
    takes: Descriptor = rule.method.input_type
    return [field for field in takes.fields if field.name != rule.body]


def is_personal(field: FieldDescriptor) -> bool:
    return field.GetOptions().HasExtension(options.personal)
