// `brood call`, end to end: what it prints and what it exits with.
#include <signal.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

constexpr const char* kMethods[] = {"spawn", "fork", "forkserver"};

std::string Plugin(std::string_view name) { return Resolved(absl::StrCat("tests/plugins/lib", name, ".so")); }

Finished Call(const std::vector<std::string>& words) {
  std::vector<std::string> args = {"call"};
  args.insert(args.end(), words.begin(), words.end());
  return RunBrood(args);
}

std::string Ends(std::string_view target) { return absl::StrCat(Plugin("ends"), ":", target); }
std::string Values(std::string_view target) { return absl::StrCat(Plugin("values"), ":", target); }

TEST(CallTest, ValuesComeBackByEachStartMethodUnderEachPolicy) {
  for (const char* method : kMethods) {
    for (const char* policy : {"strict", "default", "none"}) {
      const Finished call = Call({"--start-method", method, "--policy", policy, Values("both"), "true", R"({"b":2,"a":1})"});
      EXPECT_EQ(call.out, "[true,{\"a\":1,\"b\":2}]\n") << method << " " << policy;
      EXPECT_EQ(call.err, "") << method << " " << policy;
      EXPECT_EQ(call.exit_code, 0);
    }
  }
}

TEST(CallTest, ArgumentsAndValuesAreJsonByTheTypesOfTheTarget) {
  EXPECT_EQ(Call({Values("byte"), "255"}).out, "255\n");
  EXPECT_EQ(Call({Values("double"), "-1e300"}).out, "-1e+300\n");
  EXPECT_EQ(Call({"--", Values("double"), "-7"}).out, "-7.0\n");
  EXPECT_EQ(Call({Values("string"), "\"a\\nb\""}).out, "\"a\\nb\"\n");
  EXPECT_EQ(Call({Values("bytes"), R"({"text":"ab"})"}).out, "{\"base64\":\"YWI=\"}\n");
  EXPECT_EQ(Call({Values("point"), R"({"x":1,"y":[0.5]})"}).out, "{\"x\":1,\"y\":[0.5]}\n");
  EXPECT_EQ(Call({Values("maybe"), "null"}).out, "null\n");
  EXPECT_EQ(Call({Ends("Nothing")}).out, "");
  EXPECT_EQ(Call({Ends("Long"), "2000000"}).out.size(), 2'000'003u);
}

TEST(CallTest, AMismatchNamesTheArgumentAndWhatWasExpectedOnOneLineAndRunsNothing) {
  const struct {
    std::vector<std::string> words;
    const char* says;
  } cases[] = {
      {{Values("byte"), "256"}, "argument 1: expected uint8 (0 to 255), got 256\n"},
      {{Values("byte"), "word"}, "argument 1: not JSON: word; a string needs quotes: '\"word\"'\n"},
      {{Values("both"), "true", R"({"a":"b"})"}, "argument 2.a: expected int32 (-2147483648 to 2147483647), got \"b\"\n"},
      {{Values("byte")}, ":byte: expected 1 argument, got 0\n"},
      {{Ends("Prints"), "\"run\"", "1"}, ":Prints: expected 1 argument, got 2; it takes (string)\n"},
  };
  for (const char* method : kMethods) {
    for (const auto& one : cases) {
      std::vector<std::string> words = {"--start-method", method};
      words.insert(words.end(), one.words.begin(), one.words.end());
      const Finished call = Call(words);
      EXPECT_EQ(call.exit_code, 125) << method;
      EXPECT_EQ(call.out, "");
      EXPECT_TRUE(absl::EndsWith(call.err, one.says)) << call.err;
      EXPECT_EQ(call.err.find('\n'), call.err.size() - 1) << call.err;
    }
  }
}

TEST(CallTest, AFunctionsOwnExitCodeIsBroods) {
  for (const char* method : kMethods) {
    for (const int code : {0, 1, 42, 125, 255}) {
      EXPECT_EQ(Call({"--start-method", method, Ends("GivesCode"), absl::StrCat(code)}).exit_code, code) << method;
    }
    EXPECT_EQ(Call({"--start-method", method, Ends("GivesCode"), "256"}).exit_code, 1) << method;
  }
}

TEST(CallTest, APluginsExitIsThatOfItsProgram) {
  for (const char* method : kMethods) {
    const Finished call = Call({"--start-method", method, Ends("Exits"), "7"});
    EXPECT_EQ(call.exit_code, 7) << method;
    EXPECT_EQ(call.out, "unwound\nfinalized\n") << method;
  }
}

TEST(CallTest, AnExceptionOrAStatusIsCode1AndIsToldOnStderr) {
  for (const char* method : kMethods) {
    const Finished thrown = Call({"--start-method", method, Ends("Throws"), "\"why not\""});
    EXPECT_EQ(thrown.exit_code, 1) << method;
    EXPECT_EQ(thrown.out, "");
    EXPECT_TRUE(absl::StrContains(thrown.err, "std::runtime_error: why not")) << thrown.err;
    const Finished refused = Call({"--start-method", method, Ends("Refuses")});
    EXPECT_EQ(refused.exit_code, 1) << method;
    EXPECT_TRUE(absl::StrContains(refused.err, "nothing there")) << refused.err;
  }
  EXPECT_EQ(Call({Ends("GivesOrRefuses"), "true"}).out, "7\n");
  EXPECT_EQ(Call({Ends("GivesOrRefuses"), "false"}).exit_code, 1);
}

TEST(CallTest, SignalsLimitsAndViolationsHaveTheCodesOfRun) {
  EXPECT_EQ(Call({Ends("Raises"), absl::StrCat(SIGABRT)}).exit_code, 128 + SIGABRT);
  EXPECT_EQ(Call({Ends("Raises"), absl::StrCat(SIGKILL)}).exit_code, 128 + SIGKILL);
  const Finished late = Call({"--wall-time", "300ms", Ends("Hangs")});
  EXPECT_EQ(late.exit_code, 124);
  EXPECT_TRUE(absl::StrContains(late.err, "wall time limit")) << late.err;
  for (const char* method : kMethods) {
    const Finished violation = Call({"--start-method", method, "--policy", "strict", Ends("CallsSetreuid")});
    EXPECT_EQ(violation.exit_code, 159) << method;
    EXPECT_TRUE(absl::StrContains(violation.err, "setreuid")) << violation.err;
  }
}

TEST(CallTest, TheResultHasTheValue) {
  const std::string file = TempFile("value.json", "");
  EXPECT_EQ(Call({"--result", file, Values("point"), R"({"x":1,"y":[]})"}).exit_code, 0);
  EXPECT_TRUE(absl::StrContains(FileContent(file), R"("status":"ok","exit_code":0)")) << FileContent(file);
  EXPECT_TRUE(absl::StrContains(FileContent(file), R"("value":{"x":1,"y":[]})")) << FileContent(file);
  EXPECT_EQ(Call({"--result", file, Ends("Throws"), "\"x\""}).exit_code, 1);
  EXPECT_TRUE(absl::StrContains(FileContent(file), R"("value":null)")) << FileContent(file);
  EXPECT_EQ(Call({"--result", file, Ends("Thorws"), "\"x\""}).exit_code, 125);
  EXPECT_TRUE(absl::StrContains(FileContent(file), R"("setup":{"step":"bootstrap")")) << FileContent(file);
  const Finished out = Call({"--result", "-", Ends("Prints"), "\"first\""});
  EXPECT_EQ(out.out.substr(0, 13), "first\n3\n{\"v\":") << out.out;
}

TEST(CallTest, AnUnknownTargetIs125AndTheOthersAreNamed) {
  for (const char* method : kMethods) {
    const Finished call = Call({"--start-method", method, Values("pint")});
    EXPECT_EQ(call.exit_code, 125);
    EXPECT_TRUE(absl::EndsWith(call.err, "which has both, byte, bytes, double, maybe, point, string\n")) << call.err;
  }
  const Finished here = StartedBrood({"call", "Cub", "3"}, "", "cli/testdata/brood_with_targets").Wait();
  EXPECT_EQ(here.exit_code, 125);
  EXPECT_TRUE(absl::StrContains(here.err, "did you mean \"Cube\"?")) << here.err;
}

TEST(CallTest, ATargetOfTheProgramItselfIsCalledByItsName) {
  for (const char* method : kMethods) {
    const auto call = [&](const std::vector<std::string>& words) {
      std::vector<std::string> args = {"call", "--start-method", method};
      args.insert(args.end(), words.begin(), words.end());
      return StartedBrood(args, "", "cli/testdata/brood_with_targets").Wait();
    };
    EXPECT_EQ(call({"Cube", "3"}).out, "27\n") << method;
    EXPECT_EQ(call({"jobs.greeting", "\"you\""}).out, "\"hello you\"\n") << method;
    EXPECT_EQ(call({"Cube", "\"3\""}).exit_code, 125) << method;
    EXPECT_EQ(call({Values("byte"), "3"}).out, "3\n") << method;
  }
}

TEST(CallTest, AllTargetsAreListedWithTheirSignatures) {
  const Finished plugin = Call({"--list", Plugin("values")});
  EXPECT_EQ(plugin.out,
            "both(bool,map<string,int32>)->tuple<bool,map<string,int32>>\n"
            "byte(uint8)->uint8\n"
            "bytes(bytes)->bytes\n"
            "double(double)->double\n"
            "maybe(optional<int32>)->optional<int32>\n"
            "point(Point{x:int32,y:vector<double>})->Point{x:int32,y:vector<double>}\n"
            "string(string)->string\n");
  EXPECT_EQ(plugin.exit_code, 0) << plugin.err;
  EXPECT_EQ(Call({"--list"}).out, "");
  EXPECT_EQ(StartedBrood({"call", "--list"}, "", "cli/testdata/brood_with_targets").Wait().out,
            "Cube(int32)->int32\njobs.greeting(string)->string\n");
}

TEST(CallTest, AListOfNothingIs125WithTheReason) {
  const struct {
    const char* plugin;
    const char* says;
  } cases[] = {
      {"throws_at_load", "a static initialiser threw std::runtime_error: not today"},
      {"exits_at_load", "it ended the process that loaded it"},
      {"leaves_at_load", "it ended the process that loaded it"},
      {"empty", "registers no targets"},
      {"values_symbolic", "-Bsymbolic"},
  };
  for (const auto& one : cases) {
    const Finished list = Call({"--list", Plugin(one.plugin)});
    EXPECT_EQ(list.exit_code, 125) << one.plugin;
    EXPECT_EQ(list.out, "");
    EXPECT_TRUE(absl::StrContains(list.err, one.says)) << list.err;
  }
}

TEST(CallTest, APluginNeedsNothingOfBroodsInIt) {
  for (const char* name : {"values_alone", "values_hidden"}) {
    const Finished call = Call({absl::StrCat(Plugin(name), ":point"), R"({"x":1,"y":[2]})"});
    EXPECT_EQ(call.out, "{\"x\":1,\"y\":[2.0]}\n") << name << ": " << call.err;
  }
}

TEST(CallTest, WhatIsNoPluginIs125WithTheReason) {
  const struct {
    std::string target;
    const char* says;
  } cases[] = {
      {"/nowhere/libx.so:f", "plugin /nowhere/libx.so: ENOENT"},
      {absl::StrCat(TempFile("text.so", "no library"), ":f"), "text.so: "},
      {absl::StrCat(Plugin("empty"), ":f"), "registers no targets"},
      {absl::StrCat(Plugin("values_symbolic"), ":byte"), "-Bsymbolic"},
      {Plugin("values"), "which target of it?"},
  };
  for (const auto& one : cases) {
    const Finished call = Call({one.target});
    EXPECT_EQ(call.exit_code, 125) << one.target;
    EXPECT_TRUE(absl::StrContains(call.err, one.says)) << call.err;
    EXPECT_EQ(call.err.find('\n'), call.err.size() - 1) << call.err;
  }
}

TEST(CallTest, AnInitialiserThatThrowsOrEndsTheProcessIsNoEndOfTheTarget) {
  const struct {
    const char* plugin;
    const char* says;
  } cases[] = {
      {"throws_at_load", "a static initialiser threw std::runtime_error: not today"},
      {"exits_at_load", "a static initialiser ended the process"},
      {"leaves_at_load", "the child ended before its target was ready"},
  };
  for (const char* method : kMethods) {
    for (const auto& one : cases) {
      const Finished call = Call({"--start-method", method, absl::StrCat(Plugin(one.plugin), ":Nothing")});
      EXPECT_EQ(call.exit_code, 125) << method << " " << one.plugin;
      EXPECT_TRUE(absl::StrContains(call.err, one.says)) << call.err;
    }
  }
}

TEST(CallTest, APluginIsLoadedInTheSandboxOnly) {
  const std::string file = TempFile("loaded", "");
  const std::string plugin = Plugin("writes_at_load");
  for (const char* method : kMethods) {
    const Finished call = Call({"--start-method", method, "-e", absl::StrCat("BROOD_TEST_FILE=", file), plugin + ":Nothing"});
    EXPECT_EQ(call.exit_code, 0) << call.err;
    EXPECT_EQ(FileContent(file), "") << method;
  }
  EXPECT_EQ(Call({"--list", "-e", absl::StrCat("BROOD_TEST_FILE=", file), plugin}).exit_code, 0);
  EXPECT_EQ(FileContent(file), "");
  // It does write where it may.
  EXPECT_EQ(Call({"--policy", "none", "-e", absl::StrCat("BROOD_TEST_FILE=", file), plugin + ":Nothing"}).exit_code, 0);
  EXPECT_EQ(FileContent(file), "loaded");
}

TEST(CallTest, TheResultTellsWhatEachPreloadTook) {
  const std::string plugin = Plugin("writes_at_load");
  const Finished call = Call({"--start-method", "forkserver", "--preload", plugin, "--preload", plugin + ":SetLoaded", "--result", "-", plugin + ":WasLoaded"});
  EXPECT_EQ(call.exit_code, 0) << call.err;
  const std::string first = absl::StrCat("\"preloads\":[{\"name\":\"", plugin, "\",\"time_s\":");
  EXPECT_TRUE(absl::StrContains(call.out, "\"server\":{\"ready_s\":")) << call.out;
  EXPECT_TRUE(absl::StrContains(call.out, first)) << call.out;
  EXPECT_TRUE(absl::StrContains(call.out, absl::StrCat("},{\"name\":\"", plugin, ":SetLoaded\",\"time_s\":"))) << call.out;
  EXPECT_TRUE(absl::StrContains(call.out, ",\"memory_bytes\":")) << call.out;
  EXPECT_FALSE(absl::StrContains(Call({"--result", "-", plugin + ":WasLoaded"}).out, "\"server\"")) << "of no server";
}

TEST(CallTest, WhatTheServerPreloadsItsChildrenFind) {
  const std::string plugin = Plugin("writes_at_load");
  EXPECT_EQ(Call({"--start-method", "forkserver", plugin + ":WasLoaded"}).out, "false\n");
  EXPECT_EQ(Call({"--start-method", "forkserver", "--preload", plugin, plugin + ":WasLoaded"}).out, "false\n");
  EXPECT_EQ(Call({"--start-method", "forkserver", "--preload", plugin + ":SetLoaded", plugin + ":WasLoaded"}).out, "true\n");
  const Finished throws = Call({"--start-method", "forkserver", "--preload", Plugin("throws_at_load"), plugin + ":Nothing"});
  EXPECT_EQ(throws.exit_code, 125);
  EXPECT_TRUE(absl::StrContains(throws.err, "not today")) << throws.err;
}

TEST(CallTest, BadUsageIs125) {
  const std::vector<std::vector<std::string>> cases = {
      {"call"},
      {"call", ""},
      {"call", "--start-method", "frok", Values("byte"), "1"},
      {"call", "--preload", Plugin("values"), Values("byte"), "1"},
      {"call", "--start-method", "forkserver", "--preload", "Nothing", Values("byte"), "1"},
      {"call", "--memory", "lots", Values("byte"), "1"},
      {"call", "--list", "a.so", "b.so"},
      {"call", "--list", "Cube"},
      {"call", "--policy", "none", "--result", "/nowhere/result", Values("byte"), "1"},
  };
  for (const std::vector<std::string>& args : cases) {
    const Finished call = RunBrood(args);
    EXPECT_EQ(call.exit_code, 125) << args.back();
    EXPECT_EQ(call.out, "");
    EXPECT_TRUE(absl::StrContains(call.err, "brood call: ")) << call.err;
  }
}

TEST(CallTest, ASignalEndsACallThatStillPreloadsAndThePreload) {
  for (const int signal : {SIGINT, SIGTERM}) {
    StartedBrood brood({"call", "--start-method", "forkserver", "--preload", Ends("PrintsAndHangs"), Ends("Returns")});
    EXPECT_EQ(brood.ReadLine(), "hanging\n");
    brood.Signal(signal);
    EXPECT_EQ(brood.Wait().exit_code, -signal);  // At the end of the output, which the preload has, too.
  }
}

TEST(CallTest, ASignalIsForwarded) {
  StartedBrood brood({"call", Ends("PrintsAndHangs")});
  ASSERT_EQ(brood.ReadLine(), "hanging\n");
  brood.Signal(SIGTERM);
  EXPECT_EQ(brood.Wait().exit_code, 128 + SIGTERM);
}

}  // namespace
}  // namespace brood
