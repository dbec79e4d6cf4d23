use super::args::{self, ExportFormat};
use super::export_error::ExportError;
use super::find_run::{find_run, name};
use super::generate_error::GenerateError;
use super::saved_model::load_model;
use super::{Error, Exit, print};
use crate::config::load_run;
use crate::huggingface::{self, Class, Exported};
use crate::regular_file::is_absent;
use crate::results::Outcome;
use crate::spec::ModelKind;
use std::io;
use std::path::Path;

pub(super) fn run(arguments: &args::Export) -> Result<Exit, Error> {
    let ExportFormat::Huggingface = arguments.format;
    let dir = find_run(&arguments.results, &arguments.run)?;
    let spec = load_run(&dir.path().join("config.yaml"))?;
    match spec.model.kind {
        ModelKind::Gpt => {}
        ModelKind::Bigram => return Err(ExportError::Kind("bigram").into()),
        ModelKind::Ngram => return Err(ExportError::Kind("n-gram").into()),
    }
    let class = Class::of(&spec.model).map_err(|reason| ExportError::Inexpressible {
        run: dir.path().to_owned(),
        reason,
    })?;
    let folder = &arguments.folder;
    if !is_absent(folder) || folder.is_symlink() {
        return Err(ExportError::Exists(folder.clone()).into());
    }
    let (model, tokenizer) = load_model(&dir, &spec, arguments.step)?;
    let record = dir.record().map_err(GenerateError::from)?;
    let status = record.as_ref().map(|record| &record.status);
    let outcome = status.and_then(|status| status.outcome.as_ref());
    let last = outcome.map(Outcome::weights_step);
    let earlier_step = arguments.step.filter(|&step| Some(step) != last);
    let exported = Exported {
        name: &name(dir.path()),
        spec: &spec,
        model: &model,
        tokenizer: &tokenizer,
        status: status.filter(|_| earlier_step.is_none()),
        step: earlier_step,
    };
    huggingface::write(&exported, class, folder).map_err(write_error(folder))?;
    print(&format!("{}: {}\n", folder.display(), class.name()))?;
    Ok(Exit::Success)
}

fn write_error(folder: &Path) -> impl Fn(io::Error) -> ExportError {
    move |source| ExportError::Write {
        folder: folder.to_owned(),
        source,
    }
}
