#include "cli/help.h"

#include "absl/strings/str_split.h"
#include "cli/help_page.h"
#include "cli/options.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

TEST(HelpTest, EveryPageFitsATerminalOf80By24) {
  for (const std::string& topic : HelpTopics()) {
    const std::vector<std::string> lines = absl::StrSplit(HelpText(topic), '\n');
    // The last piece is what follows the last line feed: nothing. One line is left for the next prompt.
    EXPECT_LE(lines.size() - 1, 23u) << topic;
    for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << topic << ": " << line;
  }
}

TEST(HelpTest, EveryCommandHasAPage) {
  for (const std::string& command : CommandNames()) {
    if (command == "help") continue;
    EXPECT_NE(HelpText(command), "") << command;
  }
}

TEST(HelpTest, EveryOptionIsOnSomePage) {
  std::string all;
  for (const std::string& topic : HelpTopics()) all += HelpText(topic);
  for (const Option& option : AllOptions()) {
    // Those of a command that this system lacks.
    if (HelpHere(option).empty() && option.commands.find(' ') == std::string_view::npos && !HasOption("run", option)) continue;
    EXPECT_NE(all.find(option.name), std::string::npos) << option.name;
  }
}

TEST(HelpTest, WhatASystemLacksIsNotAmongWhatWorks) {
  for (const Option& option : AllOptions()) {
    if (!HelpHere(option).empty()) continue;
    for (const char* const command : {"run", "call", "batch", "policy"}) {
      if (!HasOption(command, option)) continue;
      EXPECT_EQ(HelpText(command).find(std::string(option.name) + " "), std::string::npos) << option.name << " of " << command;
    }
  }
}

TEST(HelpTest, EveryCommandIsListed) {
  for (const std::string& command : CommandNames()) EXPECT_NE(HelpText("brood").find(command), std::string::npos);
  EXPECT_EQ(HelpText("nothing"), "");
}

}  // namespace
}  // namespace brood
