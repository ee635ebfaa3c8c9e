"""Word, Excel and PowerPoint files.

docx and pptx are read as what they are, XML in a ZIP archive: python-docx and python-pptx leave out text (content
controls, inserted text, diagrams, automatic numbers), load every picture, and refuse files with a dangling reference.
"""
