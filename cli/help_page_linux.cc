#include "cli/help_page.h"

namespace brood {

absl::Span<const Page> PagesHere() { return {}; }

std::string_view HelpHere(const Option& option) { return option.help; }

}  // namespace brood
