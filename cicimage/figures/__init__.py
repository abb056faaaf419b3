"""One file per figure: functions of tables that return matplotlib figures."""
