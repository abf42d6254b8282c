// `brood run --cpu-set`: the CPUs that a tree may run on.
#include <sched.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"
#include "tests/e2e/layers.h"

namespace brood {
namespace {

// What the kernel says of a process that a shell has started.
constexpr char kShow[] = "sh -c 'grep Cpus_allowed_list: /proc/self/status' | cut -f2";
// A process that tries to have all CPUs. taskset(1)
constexpr char kWiden[] = "taskset -p -c 0-1023 $$ >/dev/null 2>&1; taskset -c 0-1023 sh -c \"grep Cpus_allowed_list: /proc/self/status\" 2>/dev/null; "
                          "grep Cpus_allowed_list: /proc/self/status | cut -f2";

// The numbers of the CPUs that this process may use.
std::vector<int> Usable() {
  cpu_set_t cpus;
  EXPECT_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
  std::vector<int> numbers;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &cpus)) numbers.push_back(cpu);
  }
  return numbers;
}

class CpuSetTest : public LayersTest {
 protected:
  PlainRun Script(const std::string& cpus, const char* script, std::vector<std::string> options = {}) {
    std::vector<std::string> args = {"run", "--policy", GetParam(), "--cpu-set", cpus, "--result", Result()};
    args.insert(args.end(), options.begin(), options.end());
    args.insert(args.end(), {"--", "sh", "-c", script});
    return Brood(args);
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, CpuSetTest, testing::Values("strict", "default", "networked"), [](const auto& param) { return param.param; });

TEST_P(CpuSetTest, TheTreeRunsOnThese) {
  const std::vector<int> usable = Usable();
  const std::string last = absl::StrCat(usable.back());
  EXPECT_EQ(Script(last, kShow).out, last + "\n");
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), absl::StrCat("\"cpu\":\"affinity, which the filter keeps: CPUs ", last, "\""))) << FileContent(Result());
  const std::string first = absl::StrCat(usable.front());
  EXPECT_EQ(Run(absl::StrCat("\"limits\": {\"cpu_set\": \"", first, "\"}"), {"does_nothing"}).code, 0);
  EXPECT_TRUE(absl::StrContains(FileContent(Result()), absl::StrCat("CPUs ", first, "\""))) << FileContent(Result());
}

TEST_P(CpuSetTest, IsNotWidenedFromInside) {
  const std::vector<int> usable = Usable();
  if (usable.size() < 2) GTEST_SKIP() << "there is one CPU here, and no set is wider";
  const std::string last = absl::StrCat(usable.back());
  const PlainRun run = Script(last, kWiden);
  EXPECT_EQ(run.out, last + "\n") << run.err;
}

TEST_P(CpuSetTest, SetsThatCannotBeAreRefused) {
  const PlainRun none = Script("", "echo ran");
  EXPECT_EQ(none.code, 125);
  EXPECT_TRUE(absl::StrContains(none.err, "--cpu-set: CPUs \"\": write numbers from 0 to 1023 and ranges of them, as in 0-1,3")) << none.err;
  EXPECT_TRUE(absl::StrContains(Script("1-0", "echo ran").err, "write numbers from 0")) << none.err;
  const PlainRun absent = Script(absl::StrCat(Usable().front(), ",1023"), "echo ran");
  EXPECT_EQ(absent.code, 125);
  EXPECT_EQ(absent.out, "");
  EXPECT_TRUE(absl::StrContains(absent.err, "limits: cpu_set: CPU 1023 is none that can be used here; there are ")) << absent.err;
  const PlainRun file = Run("\"limits\": {\"cpu_set\": \"x\"}", {"does_nothing"});
  EXPECT_TRUE(absl::StrContains(file.err, "field \"limits\": cpu_set: CPUs \"x\": write numbers")) << file.err;
}

TEST_P(CpuSetTest, IsExplained) {
  const PlainRun run = Brood({"policy", "explain", With("\"limits\": {\"cpu_set\": \"1,0,5\"}")[1]});
  EXPECT_TRUE(absl::StrContains(run.out, "cpu_set 0-1,5")) << run.out;
}

// With no filter around it a process can have what CPUs it likes, unless a cgroup keeps it.
TEST(CpuSetWithoutFilterTest, IsKeptByACgroupOrRefusedUnlessAllowedWeaker) {
  const std::vector<int> usable = Usable();
  const std::string last = absl::StrCat(usable.back());
  TemporaryDirectory directory;
  const std::string result = directory.path() + "/result";
  const std::vector<std::string> args = {"run", "--policy", "none", "--cpu-set", last, "--result", result};
  const auto run = [&](const std::string& weaker, const char* script) {
    std::vector<std::string> all = args;
    if (!weaker.empty()) all.insert(all.end(), {"--allow-weaker", weaker});
    all.insert(all.end(), {"--", "sh", "-c", script});
    return Brood(all);
  };
  const PlainRun kept = run("", kWiden);
  if (kept.code == 125) {
    EXPECT_TRUE(absl::StrContains(kept.err, "limit cpu cannot be enforced here")) << kept.err;
    EXPECT_TRUE(absl::StrContains(kept.err, "--allow-weaker cpu")) << kept.err;
    EXPECT_EQ(run("cpu", kShow).out, last + "\n");
    EXPECT_TRUE(absl::StrContains(FileContent(result), absl::StrCat("\"cpu\":\"weaker: affinity: CPUs ", last))) << FileContent(result);
    return;
  }
  EXPECT_TRUE(absl::EndsWith(kept.out, last + "\n")) << kept.out << kept.err;
  for (const auto& line : absl::StrSplit(kept.out, '\n', absl::SkipEmpty())) EXPECT_TRUE(absl::EndsWith(line, last)) << kept.out;
  EXPECT_TRUE(absl::StrContains(FileContent(result), absl::StrCat("cpuset: CPUs ", last, "\""))) << FileContent(result);
}

}  // namespace
}  // namespace brood
