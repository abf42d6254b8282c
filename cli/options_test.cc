#include "cli/options.h"

#include "gtest/gtest.h"

namespace brood {
namespace {

using Words = std::vector<std::string>;

ParsedOptions Parse(const Words& words) { return ParseOptions("run", words).value(); }
std::string ErrorOf(const Words& words) { return std::string(ParseOptions("run", words).status().message()); }

TEST(OptionsTest, StopAtTheFirstOperand) {
  const ParsedOptions options = Parse({"-t", "5s", "prog", "--wall-time", "9s", "--", "--nonsense"});
  EXPECT_EQ(options.Value("--wall-time"), "5s");
  EXPECT_EQ(options.operands(), (Words{"prog", "--wall-time", "9s", "--", "--nonsense"}));
}

TEST(OptionsTest, StopAtTwoDashes) {
  EXPECT_EQ(Parse({"--", "--ro"}).operands(), Words{"--ro"});
  EXPECT_EQ(Parse({"--", "--", "a"}).operands(), (Words{"--", "a"}));
  EXPECT_EQ(Parse({"-"}).operands(), Words{"-"});
}

TEST(OptionsTest, ValuesComeInEverySpelling) {
  for (const Words& words :
       {Words{"--memory", "1M", "p"}, Words{"--memory=1M", "p"}, Words{"-m", "1M", "p"}, Words{"-m1M", "p"}}) {
    EXPECT_EQ(Parse(words).Value("--memory"), "1M") << words[0];
  }
}

TEST(OptionsTest, AValueMayLookLikeAnOption) {
  EXPECT_EQ(Parse({"--hostname=--x", "p"}).Value("--hostname"), "--x");
  EXPECT_EQ(Parse({"--env", "A=-b", "p"}).Value("--env"), "A=-b");
}

TEST(OptionsTest, TheLastOneCountsOrAllOfThem) {
  EXPECT_EQ(Parse({"-m", "1M", "-m", "2M"}).Value("--memory"), "2M");
  EXPECT_EQ(Parse({"--ro", "/a", "--ro=/b"}).Values("--ro"), (Words{"/a", "/b"}));
}

TEST(OptionsTest, MistakesAreNamed) {
  EXPECT_EQ(ErrorOf({"--memroy", "1"}), "unknown option --memroy; did you mean \"--memory\"?");
  EXPECT_EQ(ErrorOf({"-x"}), "unknown option -x");
  EXPECT_EQ(ErrorOf({"--memory"}), "--memory needs a value: SIZE");
  EXPECT_EQ(ErrorOf({"--clear-env=1"}), "--clear-env takes no value");
  EXPECT_EQ(ErrorOf({"--jobs", "2"}), "unknown option --jobs");  // Of batch only.
}

TEST(OptionsTest, HelpIsAskedForOnlyBeforeTheProgram) {
  EXPECT_EQ(ParseOptions("run", {"-h"}).status().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(ParseOptions("run", {"prog", "--help"}).ok());
}

}  // namespace
}  // namespace brood
