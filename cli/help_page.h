// The pages of the help, and what of them a system has otherwise. For help.cc only.
#ifndef BROOD_CLI_HELP_PAGE_H_
#define BROOD_CLI_HELP_PAGE_H_

#include <string_view>

#include "absl/types/span.h"
#include "cli/options.h"

namespace brood {

struct Page {
  std::string_view name;
  std::string_view before;        // Above the options.
  std::string_view command = "";  // Whose options; "" for none.
  Topic topic = Topic::kEveryday;
  std::string_view after = "";
};

// Those that stand in the place of the page of that name, and those that only this system has.
absl::Span<const Page> PagesHere();

// What an option does here; empty for one that has no place beside those that work.
std::string_view HelpHere(const Option& option);

}  // namespace brood

#endif  // BROOD_CLI_HELP_PAGE_H_
