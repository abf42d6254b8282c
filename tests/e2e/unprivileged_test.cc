// The other tests once more, as a user who is nobody in particular.
//
// Root's sandboxes and a user's are set up in different ways, and CI runs as root. Copies what is needed to where
// everybody can read it, since the build's own directories may be root's alone.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "cli/runfiles.h"
#include "gtest/gtest.h"
#include "tests/e2e/harness.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

void CopyReadable(const fs::path& from, const fs::path& to) {
  fs::copy_file(fs::canonical(from), to);
  ASSERT_EQ(chmod(to.c_str(), 0755), 0);
}

class UnprivilegedTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Tests, UnprivilegedTest,
                         testing::Values("cli_bpf_test", "cli_cpu_set_test", "cli_devices_test", "cli_groups_test",
                                         "cli_isolation_test", "cli_label_test", "cli_layers_test", "cli_made_files_test", "cli_network_test", "cli_noexec_test",
                                         "cli_overlay_kept_test", "cli_overlay_layers_test", "cli_pass_fd_test", "cli_proc_test", "cli_process_test", "cli_test",
                                         "cli_weaker_test", "doctor_test", "ends_test", "escape_test", "inheritance_test", "limits_test",
                                         "own_terminal_test", "programs_test", "signals_test", "terminal_test", "tree_test"),
                         [](const auto& param) { return std::string(param.param); });

TEST_P(UnprivilegedTest, PassesForNobody) {
  if (!IsRoot()) GTEST_SKIP() << "the tests run as an unprivileged user already";
  TemporaryDirectory directory;
  const fs::path root = directory.path();
  // As `brood demo` expects its programs.
  const fs::path programs = root / "brood.runfiles/brood/tests/programs/bin";
  fs::create_directories(programs);
  for (const fs::directory_entry& entry : fs::directory_iterator(RunfilesDirectory("tests/programs/bin").value())) {
    CopyReadable(entry.path(), programs / entry.path().filename());
  }
  CopyReadable(RunfilesDirectory("cli").value() + "/brood", root / "brood");
  CopyReadable(RunfilesDirectory("tests/e2e").value() + "/" + GetParam(), root / "test");

  const PlainRun run =
      RunPlain({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-i", "PATH=/usr/bin:/bin",
                "HOME=/tmp", absl::StrCat("BROOD_TEST_PROGRAMS=", programs.string()),
                absl::StrCat("BROOD_TEST_CLI=", (root / "brood").string()), (root / "test").string(), "--gtest_brief=1",
                "--gtest_color=no"});
  EXPECT_EQ(run.code, 0) << run.out << run.err;
}

}  // namespace
}  // namespace brood
