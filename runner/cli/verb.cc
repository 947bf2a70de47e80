#include "runner/cli/verb.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "runner/cli/command.h"

namespace bulkhead::cli {

Option Option::Required() const {
  option_->required();
  return *this;
}

Option Option::ValueName(const char* text) const {
  option_->option_text(text);
  return *this;
}

Option Option::ShowDefault() const {
  option_->capture_default_str();
  return *this;
}

Option Option::Environment(const char* name) const {
  option_->envname(name);
  return *this;
}

Option Option::OneOf(const std::vector<std::string>& values) const {
  option_->check(CLI::IsMember(values));
  return *this;
}

Option Option::Between(uint64_t least, uint64_t most) const {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option Option::Separator(char separator) const {
  option_->delimiter(separator);
  return *this;
}

bool Option::Given() const {
  return option_->count() > 0;
}

Verb Verb::AddVerb(const char* name, const char* text) const {
  return Verb(app_->add_subcommand(name, text));
}

void Verb::NeedsVerb() const {
  app_->require_subcommand(1);
}

Option Verb::AddOption(const char* names, std::string& value, const char* text) const {
  return Option(app_->add_option(names, value, text));
}

Option Verb::AddOption(const char* names, std::vector<std::string>& values, const char* text) const {
  return Option(app_->add_option(names, values, text));
}

Option Verb::AddOption(const char* names, int& value, const char* text) const {
  return Option(app_->add_option(names, value, text));
}

Option Verb::AddOption(const char* names, size_t& value, const char* text) const {
  return Option(app_->add_option(names, value, text));
}

Option Verb::AddFlag(const char* names, bool& value, const char* text) const {
  return Option(app_->add_flag(names, value, text));
}

Option Verb::AddWord(const char* names, const std::vector<std::string>& words, const char* text,
                     std::function<void(size_t)> set) const {
  const auto take = [words, set = std::move(set)](const std::string& word) {
    set(static_cast<size_t>(std::find(words.begin(), words.end(), word) - words.begin()));
  };
  return Option(app_->add_option_function<std::string>(names, take, text)->check(CLI::IsMember(words)));
}

void Verb::Footer(const char* text) const {
  app_->footer(text);
}

void Verb::OnGiven(std::function<void()> call) const {
  app_->callback(std::move(call));
}

CommandLine::CommandLine(const char* name, const char* text, const char* version)
    : app_(std::make_unique<CLI::App>(text, name)) {
  app_->set_version_flag("--version", version);
}

CommandLine::~CommandLine() = default;

Verb CommandLine::top() const {
  return Verb(app_.get());
}

std::optional<int> CommandLine::Parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return std::nullopt;
}

}  // namespace bulkhead::cli
