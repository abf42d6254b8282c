// Help, made from the option table.
#ifndef BROOD_CLI_HELP_H_
#define BROOD_CLI_HELP_H_

#include <string>
#include <string_view>
#include <vector>

namespace brood {

// "brood", a command ("run") or a topic ("limits"); "" if there is none of that name. At most 40 lines of 100 columns.
std::string HelpText(std::string_view topic);

// Everything that HelpText knows, for suggestions.
std::vector<std::string> HelpTopics();

// The commands that there are.
std::vector<std::string> CommandNames();

}  // namespace brood

#endif  // BROOD_CLI_HELP_H_
