"""What the simulated vendor publishes: pages, documents, downloads, webinars, forms, e-mails.

The vendor sells a workspace for customer onboarding and handovers. ``content`` is what an event
carries (a URL path for pages, a title otherwise); ``theme`` is the truth a theme learner may be
compared with. Within a theme the most visited item comes first.
"""

from typing import Final, NamedTuple

import polars as pl

THEMES: Final = (
    "problem",
    "credibility",
    "architecture",
    "implementation",
    "pricing",
    "roi",
    "product",
    "industry",
    "webinar",
    "contact",
    "careers",
)

KINDS: Final = ("page", "document", "download", "webinar", "form", "demo", "email")


class Item(NamedTuple):
    """One published thing: its name in events, its title, its theme and its kind."""

    content: str
    title: str
    theme: str
    kind: str


def _pages(theme: str, *rows: tuple[str, str]) -> list[Item]:
    """Items whose name in events is a URL path."""
    return [Item(path, title, theme, "page") for path, title in rows]


def _titled(theme: str, kind: str, *titles: str) -> list[Item]:
    """Items whose name in events is their title."""
    return [Item(title, title, theme, kind) for title in titles]


_PROBLEM: Final = [
    *_pages(
        "problem",
        ("/blog/why-handovers-fail", "Why handovers fail between sales and service"),
        ("/guides/onboarding-delays", "The hidden causes of onboarding delays"),
        ("/blog/seven-signs-of-a-broken-handover", "Seven signs of a broken handover"),
        ("/blog/cost-of-late-customers", "What a late customer really costs you"),
        ("/guides/churn-starts-in-week-one", "Churn starts in week one"),
        ("/blog/spreadsheets-do-not-scale", "Spreadsheets do not scale past ten customers"),
        ("/blog/who-owns-the-handover", "Who owns the handover?"),
    ),
    *_titled(
        "problem",
        "download",
        "Whitepaper: the state of customer handovers",
        "Checklist: diagnose your onboarding delays",
        "Workbook: map your handover problem in one hour",
    ),
]

_CREDIBILITY: Final = [
    *_titled("credibility", "document", "Case study: Northwind cuts onboarding by half"),
    *_pages(
        "credibility",
        ("/customers", "Customers and references"),
        ("/case-studies/northwind-onboarding", "How Northwind halved its onboarding time"),
        ("/case-studies/harbor-logistics", "Harbor Logistics: one reference for forty depots"),
        ("/customers/reviews", "Customer reviews and ratings"),
        ("/about/analyst-recognition", "What analysts say about us"),
    ),
    *_titled(
        "credibility",
        "download",
        "Case study: Meridian Steel hands over plants without rework",
        "Case study: Bluefin Health earns trust in thirty days",
        "Case study: Cobalt Software scales customer success",
        "Customer story collection: logistics and manufacturing",
    ),
    *_titled(
        "credibility",
        "document",
        "Reference list and customer contacts",
        "Case study: Harbor Logistics in forty depots",
    ),
]

_ARCHITECTURE: Final = [
    *_pages(
        "architecture",
        ("/integrations", "Integrations overview"),
        ("/integrations/salesforce", "Salesforce integration"),
        ("/integrations/sap", "SAP integration"),
        ("/security", "Security and data protection"),
        ("/developers/api-reference", "API reference for developers"),
        ("/security/single-sign-on", "Single sign-on and user provisioning"),
        ("/developers/webhooks", "Webhooks and event streams"),
        ("/integrations/microsoft-teams", "Microsoft Teams integration"),
    ),
    *_titled(
        "architecture",
        "document",
        "Security and compliance FAQ",
        "SAP integration guide",
        "Technical architecture overview",
    ),
    *_titled(
        "architecture",
        "download",
        "Data model and API handbook",
        "Penetration test summary and security certificates",
    ),
]

_IMPLEMENTATION: Final = [
    *_pages(
        "implementation",
        ("/implementation", "How implementation works"),
        ("/implementation/timeline", "Implementation timeline: the first ninety days"),
        ("/services/onboarding-packages", "Onboarding packages and rollout services"),
        ("/implementation/data-migration", "Data migration, step by step"),
        ("/services/training", "Training and change management"),
    ),
    *_titled(
        "implementation",
        "document",
        "Implementation plan template",
        "Migration guide: from spreadsheets to workspace",
        "Rollout roles and responsibilities",
        "Onboarding timeline with milestones",
    ),
    *_titled(
        "implementation",
        "download",
        "Implementation checklist for project managers",
        "Go-live readiness checklist",
    ),
]

_PRICING: Final = [
    *_pages(
        "pricing",
        ("/pricing", "Pricing"),
        ("/pricing/plans", "Compare plans: team, business, enterprise"),
        ("/pricing/enterprise", "Enterprise pricing and volume discounts"),
        ("/pricing/faq", "Pricing and billing questions"),
        ("/pricing/compare", "Price comparison with alternatives"),
    ),
    *_titled(
        "pricing",
        "document",
        "Pricing and plans overview",
        "Your quote and contract terms",
        "Licence options and price list",
    ),
    *_titled("pricing", "download", "Pricing guide: plans, seats and discounts"),
]

_ROI: Final = [
    *_pages(
        "roi",
        ("/roi-calculator", "ROI calculator"),
        ("/roi-calculator/results", "Your ROI results and payback"),
        ("/resources/business-case", "Build the business case"),
        ("/blog/payback-in-two-quarters", "Payback in two quarters: how savings add up"),
    ),
    *_titled(
        "roi",
        "document",
        "Business case template for finance",
        "Total cost of ownership worksheet",
        "Savings model with your numbers",
    ),
    *_titled("roi", "download", "ROI benchmark report: savings by company size"),
]

_PRODUCT: Final = [
    *_pages(
        "product",
        ("/product", "Product overview"),
        ("/product/handover-workspace", "Handover workspace"),
        ("/product/onboarding-playbooks", "Onboarding playbooks"),
        ("/product/reporting", "Reporting and dashboards"),
        ("/product/automation", "Workflow automation"),
        ("/product/customer-portal", "Customer portal"),
        ("/product/mobile", "Mobile app"),
        ("/product/release-notes", "Release notes and new features"),
        ("/product/compare-alternatives", "How we compare with alternatives"),
    ),
    *_titled("product", "document", "Product tour: features in fifteen minutes"),
    *_titled("product", "download", "Feature list and product datasheet"),
]

_INDUSTRY: Final = [
    *_pages(
        "industry",
        ("/blog", "Blog"),
        ("/blog/trends-in-customer-success", "Five trends in customer success this year"),
        ("/blog/ai-in-service-teams", "What AI changes for service teams"),
        ("/blog/manufacturing-outlook", "Manufacturing outlook: service as a business"),
        ("/news/community-meetup", "News: community meetup recap"),
        ("/blog/logistics-market-report", "Logistics market report, read for you"),
        ("/blog/books-for-operations-leaders", "Ten books for operations leaders"),
        ("/news/partner-programme", "News: our partner programme grows"),
        ("/blog/remote-work-habits", "Remote work habits of good teams"),
        ("/news/press", "Press and media"),
    ),
    *_titled(
        "industry",
        "download",
        "Industry survey: customer success salaries and teams",
        "Trend report: service operations",
    ),
]

_WEBINAR: Final = _titled(
    "webinar",
    "webinar",
    "Webinar: onboarding in thirty days, live",
    "Webinar: ask an operations leader anything",
    "Webinar: customer success metrics that matter",
    "Webinar: integrations live build",
    "Webinar: planning a rollout across ten sites",
    "Webinar: service trends panel",
    "Webinar: from handover chaos to calm",
    "Webinar: reading an ROI model together",
)

_CONTACT: Final = [
    Item("/contact", "Contact us", "contact", "form"),
    Item("/demo", "Request a demo", "contact", "demo"),
    Item("/contact/quote", "Request a quote", "contact", "form"),
    Item("/contact/partners", "Become a partner", "contact", "form"),
]

_CAREERS: Final = _pages(
    "careers",
    ("/careers", "Careers"),
    ("/careers/software-engineer", "Open position: software engineer"),
    ("/careers/internships", "Internships and working students"),
    ("/careers/life-at-the-company", "Life at the company"),
    ("/careers/thesis-topics", "Thesis topics with us"),
)

_EMAILS: Final = [
    *_titled("problem", "email", "Newsletter: where handovers go wrong"),
    *_titled("problem", "email", "Tips: spot onboarding delays early"),
    *_titled("credibility", "email", "Customer story: Northwind, one year on"),
    *_titled("architecture", "email", "New: integrations you asked for"),
    *_titled("implementation", "email", "A rollout plan you can copy"),
    *_titled("pricing", "email", "Plans and prices, explained in two minutes"),
    *_titled("roi", "email", "Your savings in numbers: try the calculator"),
    *_titled("product", "email", "Product news: what we shipped this month"),
    *_titled("industry", "email", "Newsletter: five links for operations teams"),
    *_titled("industry", "email", "Newsletter: trends worth an hour of your week"),
    *_titled("webinar", "email", "Invitation: our next webinar"),
]

CATALOGUE: Final[tuple[Item, ...]] = (
    *_PROBLEM,
    *_CREDIBILITY,
    *_ARCHITECTURE,
    *_IMPLEMENTATION,
    *_PRICING,
    *_ROI,
    *_PRODUCT,
    *_INDUSTRY,
    *_WEBINAR,
    *_CONTACT,
    *_CAREERS,
    *_EMAILS,
)


def content_frame() -> pl.DataFrame:
    """The catalogue as a table: ``content``, ``title``, ``theme``, ``kind``; one row per item."""
    return pl.DataFrame(
        CATALOGUE,
        schema=dict.fromkeys(("content", "title", "theme", "kind"), pl.String),
        orient="row",
    )


def item_code(content: str) -> int:
    """The position of one item in the catalogue, the number that events carry internally."""
    return [item.content for item in CATALOGUE].index(content)
