// Positions as tasks of Nextflow, tables and report at the end:
//
//   nextflow run examples/nextflow/main.nf --experiment EXPERIMENT --out OUT
//
// NOT RUN BY US: written from Nextflow's documentation; what it calls is tested, the module itself is not. Try it on a
// small folder first, and see examples/slurm.sh and examples/Snakefile for two ways that are run in the tests.
//
// OUT must lie on a disk that all tasks see: the positions' folders are written there, not in the work directory.
nextflow.enable.dsl = 2

params.experiment = null
params.out = null

process POSITIONS {
    executor 'local'

    output:
    stdout

    script:
    """
    cicimage run '${file(params.experiment)}' -o '${file(params.out)}' --dry-run | awk -F'\\t' 'NF > 1 { print n++ }'
    """
}

process POSITION {
    tag "position ${index}"
    cpus 1
    memory '4 GB'

    input:
    val index

    output:
    val index

    // 3 and 4: this position failed, and the report names it
    script:
    """
    cicimage run '${file(params.experiment)}' -o '${file(params.out)}' --task-index ${index} \
        || { code=\$?; [ \$code -eq 3 ] || [ \$code -eq 4 ]; }
    """
}

process REPORT {
    memory '8 GB'

    input:
    val done

    script:
    """
    cicimage report '${file(params.out)}'
    """
}

workflow {
    indices = POSITIONS() | splitText | map { it.trim() }
    REPORT(POSITION(indices).collect())
}
